/** What `net diagnostics` finds, by code, and what somebody can do about it. */
export const diagnosis = {
  'check.store-sound': 'every page of the database was read and is sound',
  'check.store-damaged': 'the database is damaged: {detail}',
  'check.keys-open': { one: '{count} key of the home opens', other: '{count} keys of the home open' },
  'check.keys-damaged': {
    one: '{detail}; {count} other key opens',
    other: '{detail}; {count} other keys open',
  },
  'check.clock-plausible': '{time}',
  'check.clock-past': '{time} is in the past: messages would be refused as too old',
  'check.clock-agrees': 'differs by {offsetMs} ms from that of the relay {relay}',
  'check.clock-off': 'differs by {offsetMs} ms from that of the relay {relay}: one of the two is wrong',
  'check.listener-answers': 'answers at {address}',
  'check.listener-silent': 'does not answer at {address}: {detail}',
  'check.listener-none': 'this peer does not listen',
  'check.mdns-runs': {
    one: 'seen by: {discoverable}; {count} peer on this network',
    other: 'seen by: {discoverable}; {count} peers on this network',
  },
  'check.mdns-failed': 'who is on this network cannot be seen: {detail}',
  'check.webrtc-ready': {
    one: 'library {library}; {count} server configured',
    other: 'library {library}; {count} servers configured',
  },
  'check.overlay-joined': {
    one: 'UDP port {port}, {count} node known',
    other: 'UDP port {port}, {count} nodes known',
  },
  'check.overlay-alone': 'UDP port {port}, no other node known',
  'check.overlay-joining': {
    one: 'UDP port {port}, still joining: {count} asked',
    other: 'UDP port {port}, still joining: {count} asked',
  },
  'check.overlay-unjoined': {
    one: 'UDP port {port}, the {count} node asked did not answer',
    other: 'UDP port {port}, none of {count} nodes answered',
  },
  'check.overlay-unavailable': 'no UDP socket could be opened: {detail}',
  'check.overlay-off': 'not a node of the overlay',
  'check.dns-resolves': '{server} is {address}',
  'check.dns-failed': 'no address behind {server}: {detail}',
  'check.dns-unused': 'no server is named, so no name is looked up',
  'check.stun-answers': '{server} sees this machine as {address}',
  'check.stun-failed': '{server} does not answer: {detail}',
  'check.stun-none': 'no server is configured, and no relay offers one',
  'check.turn-allocates': '{server} would carry what cannot go directly',
  'check.turn-failed': '{server} does not serve us: {detail}',
  'check.turn-none': 'no server is configured, and no relay offers one',
  'check.nat-none': 'No router translates addresses in between: others can reach this machine directly.',
  'check.nat-full-cone':
    'Your router keeps one port for this machine and lets everybody in through it (full cone). Direct connections work with nearly everybody.',
  'check.nat-restricted-cone':
    'Your router lets in only machines that were written to first (restricted cone). Direct connections work with nearly everybody.',
  'check.nat-port-restricted':
    'Your router lets in only the very port that was written to (port-restricted). Direct connections work with most people, not with those behind a symmetric router; those conversations go through a relay, encrypted.',
  'check.nat-symmetric':
    'Your router gives each destination another port (symmetric). Direct connections work with most people, not with those behind a port-restricted or symmetric one; those conversations go through a relay, encrypted.',
  'check.nat-blocked':
    'No UDP gets through here. Direct connections are not possible: conversations go through a relay over TCP, encrypted.',
  'check.nat-unknown': 'What your router does is not known: too few servers answered.',
  'check.nat-unasked': 'What your router does is not known: there is no server to ask.',
  'check.mapping-open': 'the router lets others in at {address} ({protocol})',
  'check.mapping-searching': 'asking the router …',
  'check.mapping-none': 'no router here can be asked to let others in',
  'check.mapping-failed': 'the router refused: {detail}',
  'check.mapping-off': 'the router is not asked to let others in',
  'check.relay-reserved': 'others reach you through {relay}',
  'check.relay-connecting': 'connecting with {relay} …',
  'check.relay-refused': '{relay} does not take us: {detail}',
  'check.relay-unreachable': '{relay} does not answer: {detail}',
  'check.relay-none': 'no relay is known',
  'check.relay-none-only':
    'no relay takes us, and this peer shows its address to nobody (relay only): nobody can reach it',
  'check.serving-relay': {
    one: '{relay} carries {count} peer, {circuits} circuits',
    other: '{relay} carries {count} peers, {circuits} circuits',
  },
  'check.mailbox-registered': {
    one: '{mailbox} keeps messages for you: {count} waiting, {tokens} tokens left for contacts',
    other: '{mailbox} keeps messages for you: {count} waiting, {tokens} tokens left for contacts',
  },
  'check.mailbox-connecting': 'connecting with {mailbox} …',
  'check.mailbox-refused': '{mailbox} does not take us: {detail}',
  'check.mailbox-unreachable': '{mailbox} does not answer: {detail}',
  'check.mailbox-none': 'none: messages for you wait at the sender only, until both are online',
  'check.serving-mailbox': {
    one: '{mailbox} keeps {count} message in {boxes} boxes',
    other: '{mailbox} keeps {count} messages in {boxes} boxes',
  },
  'check.bandwidth-measured': '{downMbps} Mbit/s down, {upMbps} Mbit/s up, with {relay}',
  'check.bandwidth-failed': 'not measured with {relay}: {detail}',
  'check.bandwidth-unmeasured': 'no relay is linked to measure with',
  'check.path-lan': '{name}: straight, within this network',
  'check.path-direct': '{name}: straight, from network to network',
  'check.path-turn': '{name}: through the TURN server {via}, encrypted end to end',
  'check.path-relay': '{name}: through the relay {via}, encrypted end to end',
  'check.path-websocket': '{name}: straight to an open port (WebSocket)',
  'check.path-unknown': '{name}: linked; how it goes is not known',
  'check.path-none': '{name}: not linked',
  'check.why-relay-only': 'You chose to show your address to nobody (relay only).',
  'check.why-trying': 'A direct connection is being tried.',
  'check.why-own-symmetric': {
    one: 'Your router gives each destination another port, and theirs lets such a one in no more than yours: {count} attempt failed.',
    other:
      'Your router gives each destination another port, and theirs lets such a one in no more than yours: {count} attempts failed.',
  },
  'check.why-own-blocked': 'No UDP gets through here, so nothing direct can be made.',
  'check.why-both-nats': {
    one: 'Your router lets in only what was written to, and theirs seems to give each destination another port: {count} attempt failed.',
    other:
      'Your router lets in only what was written to, and theirs seems to give each destination another port: {count} attempts failed.',
  },
  'check.why-failed': {
    one: '{count} attempt at a direct connection failed. {detail}',
    other: '{count} attempts at a direct connection failed. {detail}',
  },
  'check.why-suspect': 'The link has not answered for a moment: other ways are being tried.',
  'check.why-unreachable': '{detail}',
  'check.why-no-address': 'No way to this peer is known.',
  'check.noted': '{detail}',

  'advice.store-damaged': 'Make room on the disk, then restore the home from a copy or begin again: miaou recover.',
  'advice.keys-damaged': 'Restore the folder keys of the home from a copy.',
  'advice.clock-past': 'Set the clock of this machine, and let it be set by itself (NTP).',
  'advice.clock-off': 'Set the clock of this machine, and let it be set by itself (NTP).',
  'advice.listener-silent': 'See whether a firewall of this machine closes the port.',
  'advice.mdns-failed':
    'A firewall or the router may stop multicast. Invites and relays work without it: miaou invite.',
  'advice.overlay-alone': 'To join: miaou dht bootstrap <key>@<host>:<port>.',
  'advice.overlay-unjoined': 'See whether these nodes run, and whether UDP gets through.',
  'advice.overlay-unavailable': 'Choose another port: --overlay-port.',
  'advice.dns-failed': 'Check the name in config.json and this machine’s connection.',
  'advice.stun-failed': 'See whether that server runs and whether UDP gets through. The others are used meanwhile.',
  'advice.stun-none':
    'Direct connections work in your own network. For others: use a relay (miaou relay add …), which answers STUN too, or name a server in "iceServers" of config.json.',
  'advice.turn-failed': 'Check user name and credential in config.json, and whether the server runs.',
  'advice.nat-port-restricted':
    'To do better: switch on UPnP or NAT-PMP in your router, or let it pass UDP on to this machine.',
  'advice.nat-symmetric':
    'To do better: switch on UPnP or NAT-PMP in your router, forward a port to this machine, or use another connection (such routers stand at mobile operators and in offices).',
  'advice.nat-blocked':
    'To do better: allow outgoing UDP in the firewall. Else nothing is to be done: a relay that is reached by wss:// on port 443 works nearly everywhere.',
  'advice.nat-unknown':
    'To know what the router does, two STUN servers must answer: name another in "iceServers" of config.json.',
  'advice.mapping-none': 'If the router has UPnP, NAT-PMP or PCP, switch it on in its settings.',
  'advice.mapping-failed': 'See the settings of the router; without it direct connections still work with most people.',
  'advice.relay-refused': 'Ask its owner, or add another relay: miaou relay add …',
  'advice.relay-unreachable': 'It is tried again by itself. If it stays: ask its owner, or add another relay.',
  'advice.relay-none':
    'Without a relay you talk with who can reach you directly. Ask a friend who runs one, or run your own: docs/relay.md.',
  'advice.relay-none-only': 'Add a relay: miaou relay add … Or do without --relay-only.',
  'advice.mailbox-refused': 'Ask its owner, or add another mailbox: miaou mailbox add …',
  'advice.mailbox-unreachable': 'It is tried again by itself. If it stays: ask its owner, or add another mailbox.',
  'advice.mailbox-none':
    'To be written to while you are away: miaou mailbox add … with the address of a friend’s, or run your own: miaou up --serve mailbox.',
  'advice.bandwidth-failed': 'Try again in a moment.',
  'advice.path-none': 'Messages wait and go out by themselves. See whether their Miaou runs, or ask for a new invite.',
  'advice.why-own-symmetric':
    'Nothing is lost. To do better, one of you can switch on UPnP or NAT-PMP in the router, or forward a port.',
  'advice.why-own-blocked': 'Nothing is lost. To do better, allow outgoing UDP in the firewall.',
  'advice.why-both-nats':
    'Nothing is lost. To do better, one of you can switch on UPnP or NAT-PMP in the router, or forward a port.',
  'advice.why-failed': 'Nothing is lost, and it is tried again by itself.',
  'advice.why-no-address': 'Ask for a new invite, or give one: miaou invite.',
} as const
