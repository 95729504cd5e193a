/** What the commands of gossip say. */
export const gossip = {
  'gossip.waiting': 'Waiting for somebody who follows …',
  'gossip.published': {
    one: 'Told “{topic}” to {count} linked peer, which passes it on.',
    other: 'Told “{topic}” to {count} linked peers, which pass it on.',
  },
  'gossip.published-unheard':
    'Told, but no linked peer follows “{topic}” now: whoever begins within a minute may hear it.',
  'gossip.fleeting': 'Nothing is kept and nobody confirms it. What must not get lost is a message: miaou send.',
  'gossip.following': 'Following “{topic}”. Ctrl-C ends it.',
  'gossip.published-as': 'Published as',
  'gossip.neighbours': 'Linked peers',
  'gossip.nobody': 'none takes part now',
  'gossip.topics': 'Topics',
  'gossip.followed': 'followed here',
  'gossip.relayed': 'passed on',
  'gossip.wanted-by': { one: 'wanted by {count} linked peer', other: 'wanted by {count} linked peers' },
  'gossip.counters': 'Counted since the start',
  'gossip.todo-alone': 'Gossip flows between contacts that are linked: see miaou net list-peers, and miaou up to stay.',

  'help.gossip': 'topics among linked contacts and theirs: fleeting, nothing is kept',
  'help.gossip-publish': 'tell all who follow a topic now; “-” reads the input',
  'help.gossip-follow': 'stay and print what is told in a topic',
  'help.gossip-info': 'who takes part, in which topics, what was dropped',
  'help.gossip-wait': 'seconds to wait for somebody who follows, when no miaou up runs (10)',
} as const
