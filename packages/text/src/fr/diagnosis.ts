import type { diagnosis as english } from '../en/diagnosis.ts'
import type { Phrase } from '../phrase.ts'

export const diagnosis: Readonly<Record<keyof typeof english, Phrase>> = {
  'check.store-sound': 'chaque page de la base a été lue et est intacte',
  'check.store-damaged': 'la base est abîmée : {detail}',
  'check.keys-open': { one: '{count} clé du dossier s’ouvre', other: '{count} clés du dossier s’ouvrent' },
  'check.keys-damaged': {
    one: '{detail} ; {count} autre clé s’ouvre',
    other: '{detail} ; {count} autres clés s’ouvrent',
  },
  'check.clock-plausible': '{time}',
  'check.clock-past': '{time} est dans le passé : les messages seraient refusés comme trop vieux',
  'check.clock-agrees': '{offsetMs} ms d’écart avec celle du relais {relay}',
  'check.clock-off': '{offsetMs} ms d’écart avec celle du relais {relay} : l’une des deux est fausse',
  'check.listener-answers': 'répond à {address}',
  'check.listener-silent': 'ne répond pas à {address} : {detail}',
  'check.listener-none': 'ce pair n’écoute pas',
  'check.mdns-runs': {
    one: 'vu par : {discoverable} ; {count} pair sur ce réseau',
    other: 'vu par : {discoverable} ; {count} pairs sur ce réseau',
  },
  'check.mdns-failed': 'impossible de voir qui est sur ce réseau : {detail}',
  'check.webrtc-ready': {
    one: 'bibliothèque {library} ; {count} serveur réglé',
    other: 'bibliothèque {library} ; {count} serveurs réglés',
  },
  'check.overlay-joined': {
    one: 'port UDP {port}, {count} nœud connu',
    other: 'port UDP {port}, {count} nœuds connus',
  },
  'check.overlay-alone': 'port UDP {port}, aucun autre nœud connu',
  'check.overlay-joining': {
    one: 'port UDP {port}, en train de la rejoindre : {count} sollicité',
    other: 'port UDP {port}, en train de la rejoindre : {count} sollicités',
  },
  'check.overlay-unjoined': {
    one: 'port UDP {port}, le nœud sollicité ({count}) n’a pas répondu',
    other: 'port UDP {port}, aucun des {count} nœuds n’a répondu',
  },
  'check.overlay-unavailable': 'aucun port UDP n’a pu être ouvert : {detail}',
  'check.overlay-off': 'ne participe pas à la DHT',
  'check.dns-resolves': '{server} est {address}',
  'check.dns-failed': 'aucune adresse derrière {server} : {detail}',
  'check.dns-unused': 'aucun serveur n’est nommé, donc aucun nom n’est cherché',
  'check.stun-answers': '{server} voit cette machine à {address}',
  'check.stun-failed': '{server} ne répond pas : {detail}',
  'check.stun-none': 'aucun serveur n’est réglé, et aucun relais n’en offre',
  'check.turn-allocates': '{server} porterait ce qui ne passe pas directement',
  'check.turn-failed': '{server} ne nous sert pas : {detail}',
  'check.turn-none': 'aucun serveur n’est réglé, et aucun relais n’en offre',
  'check.nat-none': 'Aucun routeur ne traduit les adresses : les autres joignent cette machine directement.',
  'check.nat-full-cone':
    'Ton routeur garde un port pour cette machine et y laisse entrer tout le monde (full cone). Les connexions directes marchent avec presque tout le monde.',
  'check.nat-restricted-cone':
    'Ton routeur ne laisse entrer que les machines à qui l’on a écrit d’abord (restricted cone). Les connexions directes marchent avec presque tout le monde.',
  'check.nat-port-restricted':
    'Ton routeur ne laisse entrer que le port exact à qui l’on a écrit (port-restricted). Les connexions directes marchent avec la plupart des gens, pas avec ceux derrière un routeur symétrique ; ces conversations passent par un relais, chiffrées.',
  'check.nat-symmetric':
    'Ton routeur donne à chaque destination un autre port (symétrique). Les connexions directes marchent avec la plupart des gens, pas avec ceux derrière un routeur port-restricted ou symétrique ; ces conversations passent par un relais, chiffrées.',
  'check.nat-blocked':
    'Aucun UDP ne passe ici. Une connexion directe n’est pas possible : les conversations passent par un relais en TCP, chiffrées.',
  'check.nat-unknown': 'On ne sait pas ce que fait ton routeur : trop peu de serveurs ont répondu.',
  'check.nat-unasked': 'On ne sait pas ce que fait ton routeur : il n’y a aucun serveur à qui demander.',
  'check.mapping-open': 'le routeur laisse entrer les autres à {address} ({protocol})',
  'check.mapping-searching': 'on demande au routeur …',
  'check.mapping-none': 'aucun routeur ici à qui demander de laisser entrer les autres',
  'check.mapping-failed': 'le routeur a refusé : {detail}',
  'check.mapping-off': 'on ne demande pas au routeur de laisser entrer les autres',
  'check.relay-reserved': 'les autres te joignent par {relay}',
  'check.relay-connecting': 'connexion avec {relay} …',
  'check.relay-refused': '{relay} ne nous prend pas : {detail}',
  'check.relay-unreachable': '{relay} ne répond pas : {detail}',
  'check.relay-none': 'aucun relais connu',
  'check.relay-none-only':
    'aucun relais ne nous prend, et ce pair ne montre son adresse à personne (relais seulement) : personne ne peut le joindre',
  'check.serving-relay': {
    one: '{relay} porte {count} pair, {circuits} circuits',
    other: '{relay} porte {count} pairs, {circuits} circuits',
  },
  'check.mailbox-registered': {
    one: '{mailbox} garde des messages pour toi : {count} en attente, {tokens} jetons restent à tes contacts',
    other: '{mailbox} garde des messages pour toi : {count} en attente, {tokens} jetons restent à tes contacts',
  },
  'check.mailbox-connecting': 'connexion avec {mailbox} …',
  'check.mailbox-refused': '{mailbox} ne nous prend pas : {detail}',
  'check.mailbox-unreachable': '{mailbox} ne répond pas : {detail}',
  'check.mailbox-none':
    'aucune : les messages pour toi attendent chez l’expéditeur seulement, jusqu’à ce que vous soyez tous deux en ligne',
  'check.serving-mailbox': {
    one: '{mailbox} garde {count} message dans {boxes} boîtes',
    other: '{mailbox} garde {count} messages dans {boxes} boîtes',
  },
  'check.bandwidth-measured': '{downMbps} Mbit/s en descente, {upMbps} Mbit/s en montée, avec {relay}',
  'check.bandwidth-failed': 'pas mesuré avec {relay} : {detail}',
  'check.bandwidth-unmeasured': 'aucun relais connecté avec qui mesurer',
  'check.path-lan': '{name} : tout droit, dans ce réseau',
  'check.path-direct': '{name} : tout droit, de réseau à réseau',
  'check.path-turn': '{name} : par le serveur TURN {via}, chiffré de bout en bout',
  'check.path-relay': '{name} : par le relais {via}, chiffré de bout en bout',
  'check.path-websocket': '{name} : tout droit vers un port ouvert (WebSocket)',
  'check.path-unknown': '{name} : connecté ; le chemin n’est pas connu',
  'check.path-none': '{name} : pas connecté',
  'check.why-relay-only': 'Tu as choisi de ne montrer ton adresse à personne (relais seulement).',
  'check.why-trying': 'On essaie une connexion directe.',
  'check.why-own-symmetric': {
    one: 'Ton routeur donne à chaque destination un autre port, et le sien ne le laisse pas entrer non plus : {count} essai raté.',
    other:
      'Ton routeur donne à chaque destination un autre port, et le sien ne le laisse pas entrer non plus : {count} essais ratés.',
  },
  'check.why-own-blocked': 'Aucun UDP ne passe ici : rien de direct n’est possible.',
  'check.why-both-nats': {
    one: 'Ton routeur ne laisse entrer que ceux à qui l’on a écrit, et le sien semble donner à chaque destination un autre port : {count} essai raté.',
    other:
      'Ton routeur ne laisse entrer que ceux à qui l’on a écrit, et le sien semble donner à chaque destination un autre port : {count} essais ratés.',
  },
  'check.why-failed': {
    one: '{count} essai de connexion directe a échoué. {detail}',
    other: '{count} essais de connexion directe ont échoué. {detail}',
  },
  'check.why-suspect': 'Plus de réponse depuis un instant : on essaie d’autres chemins.',
  'check.why-unreachable': '{detail}',
  'check.why-no-address': 'On ne connaît aucun chemin vers ce pair.',
  'check.noted': '{detail}',

  'advice.store-damaged':
    'Fais de la place sur le disque, puis remets une copie du dossier ou recommence : miaou recover.',
  'advice.keys-damaged': 'Remets une copie du dossier keys.',
  'advice.clock-past': 'Mets l’horloge de cette machine à l’heure, et laisse-la se régler toute seule (NTP).',
  'advice.clock-off': 'Mets l’horloge de cette machine à l’heure, et laisse-la se régler toute seule (NTP).',
  'advice.listener-silent': 'Vérifie qu’un pare-feu de cette machine ne ferme pas le port.',
  'advice.mdns-failed':
    'Un pare-feu ou le routeur arrête peut-être le multicast. Invitations et relais marchent sans : miaou invite.',
  'advice.overlay-alone': 'Pour la rejoindre : miaou dht bootstrap <clé>@<hôte>:<port>.',
  'advice.overlay-unjoined': 'Vérifie que ces nœuds tournent et que l’UDP passe.',
  'advice.overlay-unavailable': 'Choisis un autre port : --overlay-port.',
  'advice.dns-failed': 'Vérifie le nom dans config.json et la connexion de cette machine.',
  'advice.stun-failed': 'Vérifie que ce serveur tourne et que l’UDP passe. Les autres servent en attendant.',
  'advice.stun-none':
    'Les connexions directes marchent dans ton propre réseau. Pour les autres : prends un relais (miaou relay add …), qui répond aussi à STUN, ou nomme un serveur dans "iceServers" de config.json.',
  'advice.turn-failed': 'Vérifie le nom d’utilisateur et le mot de passe dans config.json, et que le serveur tourne.',
  'advice.nat-port-restricted':
    'Pour faire mieux : allume UPnP ou NAT-PMP dans ton routeur, ou fais-lui passer l’UDP à cette machine.',
  'advice.nat-symmetric':
    'Pour faire mieux : allume UPnP ou NAT-PMP dans ton routeur, ouvre un port vers cette machine, ou prends une autre connexion (on trouve de tels routeurs chez les opérateurs mobiles et dans les bureaux).',
  'advice.nat-blocked':
    'Pour faire mieux : autorise l’UDP sortant dans le pare-feu. Sinon il n’y a rien à faire : un relais joint par wss:// sur le port 443 marche presque partout.',
  'advice.nat-unknown':
    'Pour savoir ce que fait le routeur, il faut la réponse de deux serveurs STUN : nommes-en un autre dans "iceServers" de config.json.',
  'advice.mapping-none': 'Si le routeur connaît UPnP, NAT-PMP ou PCP, allume-le dans ses réglages.',
  'advice.mapping-failed':
    'Regarde les réglages du routeur ; sans lui, les connexions directes marchent encore avec la plupart des gens.',
  'advice.relay-refused': 'Demande à qui le fait tourner, ou ajoute un autre relais : miaou relay add …',
  'advice.relay-unreachable':
    'On le réessaie tout seul. Si cela dure : demande à qui le fait tourner, ou ajoute un autre relais.',
  'advice.relay-none':
    'Sans relais, tu parles avec qui peut te joindre directement. Demande à un ami qui en fait tourner un, ou fais tourner le tien : docs/relay.md.',
  'advice.relay-none-only': 'Ajoute un relais : miaou relay add … Ou passe-toi de --relay-only.',
  'advice.mailbox-refused': 'Demande à qui la fait tourner, ou ajoute une autre boîte : miaou mailbox add …',
  'advice.mailbox-unreachable':
    'Nouvel essai tout seul. Si cela reste : demande à qui la fait tourner, ou ajoute une autre boîte.',
  'advice.mailbox-none':
    'Pour qu’on puisse t’écrire en ton absence : miaou mailbox add … avec l’adresse de celle d’un ami, ou la tienne : miaou up --serve mailbox.',
  'advice.bandwidth-failed': 'Réessaie dans un instant.',
  'advice.path-none':
    'Les messages attendent et partent tout seuls. Vérifie que son Miaou tourne, ou demande une nouvelle invitation.',
  'advice.why-own-symmetric':
    'Rien n’est perdu. Pour faire mieux, l’un de vous peut allumer UPnP ou NAT-PMP dans son routeur, ou y ouvrir un port.',
  'advice.why-own-blocked': 'Rien n’est perdu. Pour faire mieux, autorise l’UDP sortant dans le pare-feu.',
  'advice.why-both-nats':
    'Rien n’est perdu. Pour faire mieux, l’un de vous peut allumer UPnP ou NAT-PMP dans son routeur, ou y ouvrir un port.',
  'advice.why-failed': 'Rien n’est perdu, et on réessaie tout seul.',
  'advice.why-no-address': 'Demande une nouvelle invitation, ou donne la tienne : miaou invite.',
}
