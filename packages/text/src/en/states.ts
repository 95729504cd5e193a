/** How far a message got, and why it is there. */
export const states = {
  'state.queued': 'waiting',
  'state.sent': 'sent',
  'state.held': 'held by a mailbox',
  'state.delivered': 'delivered',
  'state.read': 'read',
  'state.refused': 'refused',
  'state.expired': 'expired',
  'state.cancelled': 'cancelled',
  'reason.recipient-offline': 'their devices are offline; it goes out by itself when they are back',
  'reason.awaiting-receipt': 'it is on its way; their device has not confirmed it yet',
  'reason.request-pending': 'they have not accepted your request yet; it is shown to them once they do',
  'reason.blocked': 'they do not take messages from you',
  'reason.unsupported': 'their Miaou does not understand this message; they need to update it',
  'reason.too-old': 'it was too old when it arrived; send it again if it still matters',
  'reason.expired': 'they were not reachable for seven days; send it again if it still matters',
  'reason.refused-too-often': 'their device refused it ten times; ask them by another way',
  'reason.device-list-fork': 'two different lists of their devices exist; compare the safety number before you go on',
  'reason.key-changed':
    'a key of theirs changed: nothing is sent until you compared the safety number; then miaou contacts trust',
  'reason.no-mailbox': 'they are offline and use no mailbox: it goes out when both are online',
  'reason.no-prekeys':
    'they are offline and gave no key for a first message: it goes out when both are online, or once they renew theirs',
  'reason.mailboxes-unreachable': 'none of their mailboxes answers; it is tried again by itself',
  'reason.mailboxes-full': 'their mailboxes take no more for now; it is tried again by itself',
} as const
