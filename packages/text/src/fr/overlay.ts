import type { overlay as english } from '../en/overlay.ts'
import type { Phrase } from '../phrase.ts'

export const overlay: Readonly<Record<keyof typeof english, Phrase>> = {
  'overlay.port': 'port UDP {port} : {state}',
  'overlay.bootstrapped': {
    one: 'rejointe, {count} autre nœud connu',
    other: 'rejointe, {count} autres nœuds connus',
  },
  'overlay.alone': 'aucun autre nœud connu pour l’instant',
  'overlay.trying': 'en train de la rejoindre …',
  'overlay.failed': 'personne n’a répondu ; nouvel essai tout seul',
  'overlay.off': 'éteinte',
  'overlay.unavailable': 'aucun port UDP n’a pu être ouvert',
  'live.overlay-joined': {
    one: 'DHT rejointe : {count} autre nœud connu',
    other: 'DHT rejointe : {count} autres nœuds connus',
  },
  'info.overlay': 'DHT',

  'dht.joining': 'On rejoint la DHT …',
  'dht.storing': 'On dépose …',
  'dht.searching': 'On cherche …',
  'dht.waiting': 'On attend une réponse …',

  'dht.key': 'Clé',
  'dht.signed-by': 'Signé par',
  'dht.version': 'Version',
  'dht.copies': 'Copies',
  'dht.copies-at': { one: 'chez {count} nœud pour l’instant', other: 'chez {count} nœuds pour l’instant' },
  'dht.took': 'Coût',
  'dht.cost': { one: '{count} requête, {ms} ms', other: '{count} requêtes, {ms} ms' },
  'dht.public': 'Qui a la clé peut le lire : chiffre d’abord ce qui n’est pas pour tout le monde.',
  'dht.public-signed': 'Tout le monde peut le lire. C’est republié tout seul tant que Miaou tourne.',
  'dht.lasts': 'Sans Miaou qui tourne ici, cela disparaît en un jour environ. Pour le garder : miaou up.',
  'dht.not-kept': 'Impossible de l’écrire sur le disque : après un redémarrage, publie-le à nouveau.',

  'dht.found': { one: 'Trouvé avec {count} requête, {ms} ms.', other: 'Trouvé avec {count} requêtes, {ms} ms.' },
  'dht.found-signed': 'Signé par {peerId}, version {version}.',
  'dht.not-text': 'Ce n’est pas du texte : montré en hexadécimal. Les octets eux-mêmes : --raw ou --out <fichier>.',
  'dht.written': { one: '{count} octet écrit dans {file}.', other: '{count} octets écrits dans {file}.' },

  'dht.usage-put': 'donne une valeur (entre guillemets), ou --file <fichier> ; « signing » demande une clé après lui',
  'dht.usage-get': 'donne une clé de 64 chiffres hexadécimaux, ou un pair et « signing » (ou --salt <nom>)',
  'dht.usage-key': '« {key} » n’est ni 64 chiffres hexadécimaux ni une de tes clés de signature (miaou key list)',

  'dht.node-id': 'Nœud',
  'dht.state': 'État',
  'dht.address': 'Les autres le joignent par (là-bas : miaou dht bootstrap …)',
  'dht.client-address': 'Derrière un routeur, on le joint par (là-bas : miaou dht ping …)',
  'dht.observed': 'Vu à',
  'dht.mode': 'Mode',
  'dht.mode-server': 'serveur : les autres peuvent le garder dans leurs tables',
  'dht.mode-client': 'client : demande seulement ; nul n’est vu le joindre',
  'dht.network-size': 'Nœuds en tout',
  'dht.about': { one: '{count} environ', other: '{count} environ' },
  'dht.records': 'Dépôts',
  'dht.records-size': { one: '{count} gardé ({bytes} octets)', other: '{count} gardés ({bytes} octets)' },
  'dht.own-records': 'Dépôts à toi',
  'dht.sessions': 'Sessions',
  'dht.buckets': 'K-buckets (255 : la moitié lointaine des identifiants)',
  'dht.bucket-contacts': { one: '{count} nœud', other: '{count} nœuds' },
  'dht.counters': 'Compté depuis le démarrage',
  'dht.todo-alone':
    'Pour la rejoindre : fais tourner Miaou sur une autre machine de ce réseau, ou nomme un nœud : miaou dht bootstrap <clé>@<hôte>:<port>. Pour que ce soit à chaque démarrage : "overlay" dans config.json.',
  'dht.todo-failed': {
    one: 'Le nœud sollicité n’a pas répondu ({count}). Prochain essai dans {seconds} s. Vérifie qu’il tourne et que l’UDP passe.',
    other:
      'Aucun des {count} nœuds sollicités n’a répondu. Prochain essai dans {seconds} s. Vérifie qu’ils tournent et que l’UDP passe.',
  },
  'dht.todo-off': 'Pour l’allumer : "enabled": true dans "overlay" de config.json.',

  'dht.closest': { one: '{count} nœud, le plus proche d’abord', other: '{count} nœuds, le plus proche d’abord' },
  'dht.pong': '{node} a répondu en {ms} ms',
  'dht.pong-observed': '{node} a répondu en {ms} ms, et voit ce nœud comme {observed}',
  'dht.punched': '{node} a été joint à travers son routeur à {endpoint} en {ms} ms',
  'dht.silent': 'Pas de réponse : {node}',
  'dht.joined': { one: 'Rejointe : {count} autre nœud connu.', other: 'Rejointe : {count} autres nœuds connus.' },

  'help.dht': 'la DHT : déposer et trouver des valeurs et des clés, sans serveur',
  'help.dht-put': 'déposer une valeur sous son empreinte ; « signing <clé> » publie une clé publique comme tienne',
  'help.dht-get': 'afficher ce qui est déposé sous une clé, ou ce qu’un pair a publié',
  'help.dht-info': 'ce nœud de la DHT : son adresse pour les autres, ses K-buckets, ses compteurs',
  'help.dht-find': 'les nœuds les plus proches d’un identifiant, d’une clé ou d’un pair',
  'help.dht-ping':
    'mesurer l’aller-retour vers un nœud : <clé>@<hôte>:<port> ; derrière un routeur <clé>@<clé du serveur>@<hôte>:<port>',
  'help.dht-bootstrap': 'rejoindre la DHT par ces nœuds : <clé>@<hôte>:<port>',
  'help.salt': 'nom d’un enregistrement signé à toi, ou du pair (64 octets au plus)',
  'help.value-file': 'lire la valeur dans un fichier, octets tels quels ; - lit l’entrée',
  'help.raw': 'les octets tels quels, quoi qu’ils fassent à un terminal',
  'help.value-out': 'nouveau fichier pour les octets',
  'help.overlay-port': 'port UDP de la DHT (sinon celui de --port, ou le prochain libre)',
  'help.bootstrap': 'rejoindre la DHT aussi par ce nœud, <clé>@<hôte>:<port> ; peut se répéter',
}
