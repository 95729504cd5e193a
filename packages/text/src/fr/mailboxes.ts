import type { mailboxes as english } from '../en/mailboxes.ts'
import type { Phrase } from '../phrase.ts'

export const mailboxes: Readonly<Record<keyof typeof english, Phrase>> = {
  'held.by': {
    one: 'gardé par {count} boîte aux lettres jusqu’au {when}',
    other: 'gardé par {count} boîtes aux lettres jusqu’au {when}',
  },
  'held.next': 'Il arrive dès que l’autre est en ligne, que Miaou tourne ici ou non.',
  'waiting.next-try': 'prochain essai {when}',
  'waiting.reason-next-try': '{reason} ; prochain essai {when}',

  'notice.session-renewed': 'Session avec {name} renouvelée ; rien n’est perdu.',
  'notice.contact-restored':
    'Un appareil de {name} est revenu d’une copie plus ancienne : la session est renouvelée, rien n’est perdu.',
  'notice.copy-detected':
    'Cet appareil semble être une copie, ou remis dans un état plus ancien ; ses clés ont été renouvelées. Si ce dossier tourne aussi ailleurs, arrête pour de bon l’un des deux.',
  'notice.copy-detected-by':
    'Cet appareil semble être une copie, ou remis dans un état plus ancien ({name} en connaît un plus récent) ; ses clés ont été renouvelées. Si ce dossier tourne aussi ailleurs, arrête pour de bon l’un des deux.',
  'notice.key-changed':
    'Une clé de {name} a changé : envoi arrêté. Compare le numéro de sûreté : miaou contacts trust {name}, ou /trust.',

  'contacts.changed': 'une clé a changé : envoi arrêté',
  'contacts.no-requests': 'Personne n’attend de réponse.',
  'contacts.answer': 'Pour répondre : miaou contacts accept <nom>, block <nom>, ou report <nom>.',
  'contacts.note': '« {note} »',
  'trust.nothing': 'Aucune clé de {name} n’a changé : les messages partent.',
  'trust.explain':
    'Une clé de {name} a changé. Cela arrive après une nouvelle installation ; cela arrive aussi quand quelqu’un se met entre vous. Compare ce numéro avec celui que voit {name}, de vive voix ou en personne.',
  'trust.ask': 'Les numéros sont-ils pareils ? [o/N]',
  'trust.done': 'Les messages à {name} partent à nouveau.',
  'trust.not': 'Rien n’est envoyé à {name} tant que les numéros n’ont pas été comparés.',
  'trust.how': 'S’ils sont pareils : miaou contacts trust {name} --yes',
  'report.proves-nothing':
    'Ce qui suit est ta parole contre la sienne : les messages sont niables, ce signalement ne prouve donc rien. Donne-le à qui tu fais confiance.',
  'report.written':
    'Le signalement est dans {file}. C’est ta parole contre la sienne : les messages sont niables, il ne prouve donc rien.',
  'report.messages': {
    one: '{count} message de sa part',
    other: 'Ses {count} derniers messages',
  },

  'chat.key-changed': 'Une clé de {name} a changé : rien ne part avant que tu aies regardé : /trust',
  'chat.trust-how': 'Les mêmes ? Tape : /trust oui',
  'chat.report-how': 'En fichier, pour qui a ta confiance : miaou contacts report {name} --out <fichier>',

  'settings.jitter': 'retard au hasard d’un message, en ms au plus : 0 à 10000',
  'settings.cover': 'leurres par jour : low 48 (0,1 Mo), high 480 (1 Mo)',

  'mailbox.connecting': 'connexion …',
  'mailbox.connected': 'connectée',
  'mailbox.registered': 'sert',
  'mailbox.refused': 'ne nous prend pas',
  'mailbox.unreachable': 'ne répond pas',
  'mailbox.waiting-count': { one: '{count} en attente', other: '{count} en attente' },
  'mailbox.tokens': { one: '{count} jeton', other: '{count} jetons' },
  'mailbox.bundles': { one: '{count} lot de clés', other: '{count} lots de clés' },
  'mailbox.through-relay': 'par un relais',
  'mailbox.straight': 'tout droit : elle voit ton adresse',
  'mailbox.by-config': 'config.json ou ligne de commande',
  'mailbox.by-added': 'ajoutée',
  'mailbox.by-contact': 'celle d’un contact',
  'mailbox.none':
    'Tu n’as pas de boîte aux lettres : ce que les autres écrivent en ton absence attend chez eux seulement. Pour en ajouter une qu’un ami t’a donnée : miaou mailbox add <adresse>. La tienne : miaou up --serve mailbox.',
  'mailbox.none-short': 'aucune : les messages pour toi attendent chez l’expéditeur seulement',
  'mailbox.added':
    'Gardée. Elle sert désormais, chaque fois que Miaou tourne ici ; tes contacts l’apprennent tout seuls.',
  'mailbox.removed': 'Elle ne sert plus.',
  'mailbox.waiting': 'On attend la réponse de la boîte aux lettres …',
  'mailbox.serves-not':
    'Ce Miaou n’est pas une boîte aux lettres. Pour en être une : miaou up --serve mailbox --public-url wss://<nom> (docs/mailbox.md).',
  'mailbox.hand-out': 'Donne cette adresse à tes amis. Ils tapent : miaou mailbox add {mailbox}',
  'mailbox.boxes': 'Boîtes',
  'mailbox.envelopes': 'Messages gardés',
  'mailbox.bytes': 'Sur le disque',
  'mailbox.per-box': 'Au plus par boîte',
  'info.mailboxes': 'Boîtes aux lettres',
  'up.serves-mailbox': 'Boîte pour les autres',
  'live.mailbox-registered': 'En ton absence, la boîte aux lettres {mailbox} garde les messages pour toi',
  'live.mailbox-lost': 'La boîte aux lettres {mailbox} ne garde plus de messages pour toi : {reason}',

  'help.mailbox': 'les boîtes aux lettres : list, add, remove pour les tiennes ; info sur celle que tu fais tourner',
  'help.mailbox-list': 'les boîtes aux lettres qui servent ou que l’on essaie, la meilleure d’abord',
  'help.mailbox-add':
    'faire garder tes messages par une boîte aux lettres, par l’adresse que donne qui la fait tourner',
  'help.mailbox-remove': 'ne plus se servir d’une boîte aux lettres ajoutée',
  'help.mailbox-info': 'la boîte que tu fais tourner : son adresse à donner, ce qu’elle garde, ses compteurs',
  'help.mailbox-wait': 'secondes d’attente de la réponse de la boîte aux lettres (10)',
  'help.mailbox-address': 'se servir aussi de cette boîte aux lettres cette fois ; peut se répéter',
  'help.note': 'quelques mots que l’autre voit avec ta demande (280 caractères au plus)',
  'help.report-reason': 'pourquoi tu signales, pour qui lit le signalement (280 caractères au plus)',
  'help.report-out': 'nouveau fichier pour le signalement (sinon la sortie)',
}
