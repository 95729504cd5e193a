export type { NodeCryptoOptions } from './crypto/node-crypto.ts'
export { createNodeCrypto, defaultNodeCryptoOptions } from './crypto/node-crypto.ts'
export { atomicWriteFile, makePrivateDirectory } from './home/files.ts'
export type { HomeHolder, HomeInUse, HomeLock, LockHomeError } from './home/lock.ts'
export { findHomeHolder, lockHome } from './home/lock.ts'
export type { HomeChoice, HomePathError, HomeSurroundings } from './home/paths.ts'
export { defaultProfile, homePath, profilesDirectory } from './home/paths.ts'
export { fileSecureStorage } from './home/secure-storage.ts'
export type { MailboxHostOptions, MailboxHostView } from './mailbox/mailbox-host.ts'
export { createMailboxHost, MailboxHost } from './mailbox/mailbox-host.ts'
export { mailboxServiceIdentity } from './mailbox/mailbox-identity.ts'
export type { SqliteMessageQueueOptions } from './mailbox/sqlite-message-queue.ts'
export { SqliteMessageQueue } from './mailbox/sqlite-message-queue.ts'
export type { MdnsBrowserOptions } from './mdns/mdns-browser.ts'
export { defaultMdnsBrowserOptions } from './mdns/mdns-browser.ts'
export { MdnsDiscovery } from './mdns/mdns-discovery.ts'
export type { DiscoverOptions, HostConnectivityReport, ServerNameReport } from './nat/discover-connectivity.ts'
export { defaultDiscoverOptions, detectNatType, discoverConnectivity } from './nat/discover-connectivity.ts'
export type { MappedPort, PortToMap } from './nat/port-control.ts'
export type { PortMapperLimits, PortMapperOptions, PortMapperState } from './nat/port-mapper.ts'
export { defaultPortMapperLimits, PortMapper } from './nat/port-mapper.ts'
export type { StunAnswererLimits, StunAnswererOptions } from './nat/stun-answerer.ts'
export { defaultStunAnswererLimits, StunAnswerer } from './nat/stun-answerer.ts'
export type { TurnCheck, TurnCheckLimits, TurnCredentials } from './nat/turn-check.ts'
export { checkTurn, defaultTurnCheckLimits } from './nat/turn-check.ts'
export type { BootstrapAddress, BootstrapNode } from './overlay/bootstrap-node.ts'
export { bootstrapText, parseBootstrapAddress, parseBootstrapNode } from './overlay/bootstrap-node.ts'
export type {
  BootstrapState,
  OverlayContact,
  OverlayError,
  OverlayFound,
  OverlayHandle,
  OverlayInfo,
  OverlayPunchError,
  OverlayPunched,
  OverlayPut,
  OverlayPutSigned,
  OverlayState,
} from './overlay/handle.ts'
export type { OverlayOff } from './overlay/off.ts'
export { OffOverlay } from './overlay/off.ts'
export type { AdapterOptions, WebRtcLibrary } from './peer/adapters.ts'
export type { Config, ConfigError } from './peer/config.ts'
export { configPath, loadConfig, parseConfig } from './peer/config.ts'
export type { GossipHandle, GossipInfo } from './peer/gossip-face.ts'
export type {
  AddMailboxError,
  Connectivity,
  DiagnosticCheck,
  MailboxEntry,
  MailboxServing,
  MailboxSource,
  NameReport,
  NetworkInfo,
  PeerHandle,
  PeerView,
  PortMapping,
  RelayEntry,
  RelayMeasurement,
  RelayServing,
  RelaySource,
  Serving,
} from './peer/handle.ts'
export type { CreatedHome, CreateHomeError, CreateHomeOptions, HomeState, OpenHomeError } from './peer/home.ts'
export { checkRecoveryWords, createHome, homeState } from './peer/home.ts'
export type { IceServerSetting } from './peer/ice-servers.ts'
export { iceServersAt, iceServersRenewAt, parseIceServers } from './peer/ice-servers.ts'
export type { StartError, StartPeerOptions } from './peer/peer-host.ts'
export { startPeer } from './peer/peer-host.ts'
export type { MailboxQuotas, ReachSettings, RelayQuotas } from './peer/reach-settings.ts'
export { systemClock, systemJitter, systemRandom } from './peer/system.ts'
export type { UserKeyError, UserKeyKind, UserKeys, UserKeyView } from './peer/user-keys.ts'
export { createPseudonyms } from './relay/pseudonyms.ts'
export type { RelayHostOptions, RelayHostView } from './relay/relay-host.ts'
export { createRelayHost, RelayHost } from './relay/relay-host.ts'
export type { RelayTurn } from './relay/turn-credentials.ts'
export type { SqliteStore, SqliteStoreOptions, StoreError } from './store/sqlite-store.ts'
export { openSqliteStore, storeKeySize } from './store/sqlite-store.ts'
export type { ChildWebRtcOptions } from './webrtc/child-client.ts'
export { ChildWebRtcTransport, defaultChildWebRtcOptions } from './webrtc/child-client.ts'
export type { IceServer, WebRtcOptions } from './webrtc/options.ts'
export { defaultWebRtcOptions } from './webrtc/options.ts'
export type { WebRtcTransportOptions } from './webrtc/webrtc-transport.ts'
export { createWebRtcTransport } from './webrtc/webrtc-transport.ts'
export { WeriftTransport } from './webrtc/werift-transport.ts'
export { localAddresses, parseWebSocketAddress, webSocketAddress } from './websocket/addresses.ts'
export type { TlsPair, TlsReader } from './websocket/tls-files.ts'
export { tlsFromFiles } from './websocket/tls-files.ts'
export type {
  WebSocketChannel,
  WebSocketChannelLimits,
  WebSocketChannelOptions,
  WebSocketTransportOptions,
} from './websocket/websocket-transport.ts'
export {
  defaultWebSocketChannelLimits,
  defaultWebSocketTransportOptions,
  WebSocketTransport,
} from './websocket/websocket-transport.ts'
