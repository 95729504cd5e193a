/** What is said of mailboxes, of messages that they hold, and of sessions and keys that changed. */
export const mailboxes = {
  'held.by': {
    one: 'held by {count} mailbox until {when}',
    other: 'held by {count} mailboxes until {when}',
  },
  'held.next': 'It is delivered as soon as they are online, whether or not Miaou runs here.',
  'waiting.next-try': 'next try {when}',
  'waiting.reason-next-try': '{reason}; next try {when}',

  'notice.session-renewed': 'Session with {name} renewed; nothing is lost.',
  'notice.contact-restored':
    'A device of {name} came back from an older copy: the session was renewed, nothing is lost.',
  'notice.copy-detected':
    'This device seems to be a copy, or was set back to an older state; its keys were renewed. If this home also runs elsewhere, end one of the two for good.',
  'notice.copy-detected-by':
    'This device seems to be a copy, or was set back to an older state ({name} knows a later one); its keys were renewed. If this home also runs elsewhere, end one of the two for good.',
  'notice.key-changed':
    'A key of {name} changed: sending stopped. Compare the safety number: miaou contacts trust {name}, or /trust.',

  'contacts.changed': 'a key changed: sending stopped',
  'contacts.no-requests': 'Nobody waits for an answer.',
  'contacts.answer': 'Answer with: miaou contacts accept <name>, block <name>, or report <name>.',
  'contacts.note': '“{note}”',
  'trust.nothing': 'No key of {name} changed: messages go out.',
  'trust.explain':
    'A key of {name} changed. That happens after a new installation; it also happens when somebody gets between you. Compare this number with the one {name} sees, by voice or in person.',
  'trust.ask': 'Are the numbers the same? [y/N]',
  'trust.done': 'Messages to {name} go out again.',
  'trust.not': 'Nothing is sent to {name} until the numbers were compared.',
  'trust.how': 'When they are the same: miaou contacts trust {name} --yes',
  'report.proves-nothing':
    'What follows is your word against theirs: messages are deniable, so this report proves nothing. Give it to whom you trust.',
  'report.written':
    'The report is in {file}. It is your word against theirs: messages are deniable, so it proves nothing.',
  'report.messages': {
    one: '{count} message of theirs',
    other: 'Their last {count} messages',
  },

  'chat.key-changed': 'A key of {name} changed: nothing is sent until you looked: /trust',
  'chat.trust-how': 'The same? Type: /trust yes',
  'chat.report-how': 'In a file, for whom you trust: miaou contacts report {name} --out <file>',

  'settings.jitter': 'most ms by which a message is held back at random: 0 to 10000',
  'settings.cover': 'decoy messages a day: low 48 (0.1 MB), high 480 (1 MB)',

  'mailbox.connecting': 'connecting …',
  'mailbox.connected': 'connected',
  'mailbox.registered': 'in use',
  'mailbox.refused': 'does not take us',
  'mailbox.unreachable': 'does not answer',
  'mailbox.waiting-count': { one: '{count} waiting', other: '{count} waiting' },
  'mailbox.tokens': { one: '{count} token', other: '{count} tokens' },
  'mailbox.bundles': { one: '{count} bundle', other: '{count} bundles' },
  'mailbox.through-relay': 'through a relay',
  'mailbox.straight': 'straight: it sees your address',
  'mailbox.by-config': 'config.json or command line',
  'mailbox.by-added': 'added',
  'mailbox.by-contact': 'a contact uses it',
  'mailbox.none':
    'You use no mailbox: what others write while you are away waits at the sender only. Add one that a friend gave you: miaou mailbox add <address>. Your own: miaou up --serve mailbox.',
  'mailbox.none-short': 'none: messages for you wait at the sender only',
  'mailbox.added': 'Kept. It is used from now on, whenever Miaou runs here; contacts learn of it by themselves.',
  'mailbox.removed': 'Used no longer.',
  'mailbox.waiting': 'Waiting for the answer of the mailbox …',
  'mailbox.serves-not':
    'This Miaou is no mailbox. To be one: miaou up --serve mailbox --public-url wss://<name> (docs/mailbox.md).',
  'mailbox.hand-out': 'Give your friends this address. They type: miaou mailbox add {mailbox}',
  'mailbox.boxes': 'Boxes',
  'mailbox.envelopes': 'Messages kept',
  'mailbox.bytes': 'On disk',
  'mailbox.per-box': 'For one box at most',
  'info.mailboxes': 'Mailboxes',
  'up.serves-mailbox': 'Mailbox for others',
  'live.mailbox-registered': 'Messages for you are kept at the mailbox {mailbox} while you are away',
  'live.mailbox-lost': 'The mailbox {mailbox} no longer keeps messages for you: {reason}',

  'help.mailbox': 'mailboxes: list, add, remove those that keep messages for you; info on the one you run',
  'help.mailbox-list': 'the mailboxes you use or try, the best first',
  'help.mailbox-add': 'have messages kept at a mailbox from now on, by the address its owner gave you',
  'help.mailbox-remove': 'use an added mailbox no longer',
  'help.mailbox-info': 'the mailbox you run: its address to hand out, what it keeps, its counters',
  'help.mailbox-wait': 'seconds to wait for the mailbox’s answer (10)',
  'help.mailbox-address': 'use this mailbox in this run too; may be repeated',
  'help.note': 'a few words that they see with your request (at most 280 characters)',
  'help.report-reason': 'why you report them, for whoever reads the report (at most 280 characters)',
  'help.report-out': 'new file for the report (else the output)',
} as const
