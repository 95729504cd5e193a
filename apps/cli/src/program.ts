import { createText } from '@miaou/text'
import { Command, CommanderError, Option } from 'commander'
import { languageOf } from './context.ts'
import { type ExitCode, exitCodes } from './exit-code.ts'
import type { Io } from './io.ts'
import { createDefine, type Group } from './program/define.ts'
import { defineDht } from './program/dht.ts'
import { defineGossip } from './program/gossip.ts'
import { defineKeys } from './program/keys.ts'
import { defineMessages } from './program/messages.ts'
import { defineMailbox, defineNetwork, defineRelay } from './program/network.ts'
import { definePeople } from './program/people.ts'

/** The command tree. Each command's code is loaded when it runs, so that `miaou id` starts fast. */
export function createProgram(io: Io, version: string, finish: (code: ExitCode) => void): Command {
  const text = createText(languageOf(io, askedLanguage(io.argv)))
  const program = new Command('miaou')
  program
    .version(version, '-V, --version', text('help.version'))
    .description(text('help.program'))
    .option('--home <folder>', text('help.home'))
    .option('--profile <name>', text('help.profile'))
    .option('--json', text('help.json'))
    .addOption(new Option('--lang <language>', text('help.lang')).choices(['en', 'fr']))
    .option('--passphrase-file <file>', text('help.passphrase-file'))
    .option('--no-passphrase', text('help.no-passphrase'))
    .option('--name <name>', text('help.name'))
    .option('--words-file <file>', text('help.words-file'))
    .helpOption('-h, --help', text('help.help'))
    .helpCommand('help [command]', text('help.help'))
    .configureOutput({
      writeOut: (words) => void io.stdout.write(words),
      writeErr: (words) => void io.stderr.write(words),
      getOutHelpWidth: () => io.stdout.columns ?? 80,
      getErrHelpWidth: () => io.stderr.columns ?? 80,
    })
    .showHelpAfterError(text('help.after-error'))
    .addHelpText('after', `\n${text('help.program-examples')}`)
  const group: Group = { define: createDefine(io, program, text, finish), program, text }
  definePeople(group)
  defineMessages(group)
  defineNetwork(group)
  defineRelay(group)
  defineMailbox(group)
  defineDht(group)
  defineGossip(group)
  defineKeys(group)
  throwInsteadOfExit(program)
  return program
}

/** Commander ends the process by itself otherwise, in each subcommand. */
function throwInsteadOfExit(command: Command): void {
  command.exitOverride()
  for (const sub of command.commands) throwInsteadOfExit(sub)
}

/** The language of help must be known before the command line is parsed. */
function askedLanguage(argv: readonly string[]): string | undefined {
  const index = argv.indexOf('--lang')
  return index < 0 ? argv.find((word) => word.startsWith('--lang='))?.slice('--lang='.length) : argv[index + 1]
}

/** Commander ends help and version with an error of its own. */
export function exitCodeOfCommander(error: unknown): ExitCode | undefined {
  if (!(error instanceof CommanderError)) return undefined
  return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
}
