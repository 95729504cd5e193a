import { Conversation } from '../chat/conversation.ts'
import { showInvite } from '../chat/slash-commands.ts'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { hasTerminal } from '../passphrase.ts'
import { findDaemon, type PeerOptions, withServedSession } from '../session.ts'
import { runningError } from '../start-errors.ts'
import { interruptSignal, pause } from '../terminal/progress.ts'
import { sanitiseLine } from '../terminal/sanitise.ts'
import { up } from './up.ts'

/** How long the first list waits for who else is on the network, ms. */
const browseMs = 1_200

/** `miaou start`: everything a newcomer needs, on one screen. Without a terminal it is the daemon. */
export async function start(context: Context, options: PeerOptions): Promise<ExitCode> {
  if (!hasTerminal(context) || context.io.stdout.isTTY !== true) return up(context, options)
  const running = await findDaemon(context.home)
  // Two newcomers on one machine: the second window must be a second person, not a second view of the first.
  if (running?.kind === 'chat') throw runningError(running.pid, context)
  return withServedSession(
    context,
    'chat',
    async (session) => {
      const { out, text } = context
      const { name } = await session.client.identity.get()
      out.line(out.styles.bold(text('start.hello', { name: sanitiseLine(name) })))
      out.line(text('start.private'))
      await showInvite({ context: () => context, session: () => session, print: (line) => out.line(line) }, true)
      out.line(text('start.how'))
      // Whoever leaves before the conversation begins leaves in good order too.
      const { signal, end } = interruptSignal(context)
      try {
        if (session.daemon === undefined) await pause(browseMs, signal)
        if (!signal.aborted) await new Conversation(context, session).run(undefined)
      } finally {
        end()
      }
      return exitCodes.ok
    },
    options,
  )
}

/** `miaou chat <contact>`. Lines from a pipe are sent one by one. */
export function chat(context: Context, who: string): Promise<ExitCode> {
  return withServedSession(context, 'chat', async (session) => {
    await new Conversation(context, session).run(who)
    return exitCodes.ok
  })
}
