import type { states as english } from '../en/states.ts'
import type { Phrase } from '../phrase.ts'

export const states: Readonly<Record<keyof typeof english, Phrase>> = {
  'state.queued': 'en attente',
  'state.sent': 'envoyé',
  'state.held': 'gardé par une boîte aux lettres',
  'state.delivered': 'arrivé',
  'state.read': 'lu',
  'state.refused': 'refusé',
  'state.expired': 'expiré',
  'state.cancelled': 'annulé',
  'reason.recipient-offline': 'ses appareils sont hors ligne ; il partira tout seul à leur retour',
  'reason.awaiting-receipt': 'il est en route ; son appareil ne l’a pas encore confirmé',
  'reason.request-pending': 'ta demande n’est pas encore acceptée ; il sera montré dès qu’elle le sera',
  'reason.blocked': 'cette personne ne prend pas tes messages',
  'reason.unsupported': 'son Miaou ne comprend pas ce message ; il faut le mettre à jour',
  'reason.too-old': 'il était trop vieux en arrivant ; renvoie-le s’il compte encore',
  'reason.expired': 'ses appareils sont restés injoignables sept jours ; renvoie-le s’il compte encore',
  'reason.refused-too-often': 'son appareil l’a refusé dix fois ; demande-lui par un autre moyen',
  'reason.device-list-fork':
    'il existe deux listes différentes de ses appareils ; compare le numéro de sûreté avant de continuer',
  'reason.key-changed':
    'une de ses clés a changé : rien ne part avant que tu aies comparé le numéro de sûreté ; puis miaou contacts trust',
  'reason.no-mailbox':
    'ses appareils sont hors ligne et n’ont pas de boîte aux lettres : il part quand vous êtes tous deux en ligne',
  'reason.no-prekeys':
    'ses appareils sont hors ligne et sans clé pour un premier message : il part quand vous êtes tous deux en ligne, ou dès qu’il y en a une',
  'reason.mailboxes-unreachable': 'aucune de ses boîtes aux lettres ne répond ; nouvel essai tout seul',
  'reason.mailboxes-full': 'ses boîtes aux lettres ne prennent plus rien pour l’instant ; nouvel essai tout seul',
}
