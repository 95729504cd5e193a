import type { gossip as english } from '../en/gossip.ts'
import type { Phrase } from '../phrase.ts'

export const gossip: Readonly<Record<keyof typeof english, Phrase>> = {
  'gossip.waiting': 'On attend quelqu’un qui suit …',
  'gossip.published': {
    one: '« {topic} » : dit à {count} pair relié, qui le fait passer.',
    other: '« {topic} » : dit à {count} pairs reliés, qui le font passer.',
  },
  'gossip.published-unheard':
    'Dit, mais aucun pair relié ne suit « {topic} » maintenant : qui commence dans la minute peut l’entendre.',
  'gossip.fleeting':
    'Rien n’est gardé et personne ne confirme. Ce qui ne doit pas se perdre est un message : miaou send.',
  'gossip.following': 'On suit « {topic} ». Ctrl-C pour finir.',
  'gossip.published-as': 'Publié en tant que',
  'gossip.neighbours': 'Pairs reliés',
  'gossip.nobody': 'aucun ne participe maintenant',
  'gossip.topics': 'Sujets',
  'gossip.followed': 'suivi ici',
  'gossip.relayed': 'transmis',
  'gossip.wanted-by': { one: 'voulu par {count} pair relié', other: 'voulu par {count} pairs reliés' },
  'gossip.counters': 'Compté depuis le démarrage',
  'gossip.todo-alone':
    'Les rumeurs passent entre contacts reliés : vois miaou net list-peers, et miaou up pour rester.',

  'help.gossip': 'des sujets entre contacts reliés et les leurs : passager, rien n’est gardé',
  'help.gossip-publish': 'dire à tous ceux qui suivent un sujet maintenant ; « - » lit l’entrée',
  'help.gossip-follow': 'rester et afficher ce qui se dit dans un sujet',
  'help.gossip-info': 'qui participe, dans quels sujets, ce qui a été jeté',
  'help.gossip-wait': 'secondes à attendre quelqu’un qui suit, quand aucun miaou up ne tourne (10)',
}
