/** A value of type `T` that only its own constructor may mint: ids of different kinds do not mix. */
export type Brand<T, Name extends string> = T & { readonly __brand: Name }
