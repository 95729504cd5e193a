/** Help of the commands. */
export const help = {
} as const
