export type { PeerAnnouncement } from './announcement.ts'
export {
  announcementSizeMax,
  announcementTags,
  decodePeerAnnouncement,
  encodePeerAnnouncement,
} from './announcement.ts'
export type { BundledFrame } from './bundle.ts'
export { bundledFrameOverhead, bundleSizeMax, decodeBundle, encodeBundle, isBundleable } from './bundle.ts'
export type { CertificateError, DeviceCertificate, PseudonymCertificate } from './certificate.ts'
export {
  certificateKinds,
  certificateSizeMax,
  decodeCertificate,
  signDeviceCertificate,
  signPseudonymCertificate,
  verifyCertificate,
} from './certificate.ts'
export type { CircuitAddress, RelayAddress } from './circuit/circuit-address.ts'
export {
  circuitScheme,
  formatCircuitAddress,
  formatRelayAddress,
  isRelayUrl,
  parseCircuitAddress,
  parseRelayAddress,
  relayIdOf,
  relayIdSize,
  relayUrlLengthMax,
  reservationIdOf,
  reservationIdSize,
} from './circuit/circuit-address.ts'
export type { CircuitData } from './circuit/circuit-data.ts'
export {
  circuitChunkCost,
  circuitChunkCostMin,
  circuitChunkSizeMax,
  circuitChunkSizeSmall,
  circuitDataHeaderSize,
  circuitDataOverhead,
  decodeCircuitData,
  encodeCircuitData,
  fillerCircuit,
  writeCircuit,
} from './circuit/circuit-data.ts'
export type {
  CircuitCloseReason,
  RelayIceServer,
  RelayMessage,
  RelayRefusal,
  RelayTerms,
} from './circuit/relay-message.ts'
export {
  circuitCloseReasons,
  circuitWindowSize,
  decodeRelayMessage,
  encodeRelayMessage,
  measureBytesMax,
  relayIceSchemes,
  relayIceSecretSizeMax,
  relayIceServersMax,
  relayIceTransports,
  relayMessageKinds,
  relayMessageSizeMax,
  relayRefusals,
} from './circuit/relay-message.ts'
export type { Content, ContentBody, Hello, ReceiptStatus, RefusalReason } from './content.ts'
export {
  contentBodySizeMax,
  contentExtensionTags,
  contentSizeMax,
  contentTags,
  decodeContent,
  encodeContent,
  isNote,
  noteLengthMax,
  receiptIdsMax,
  receiptStatuses,
  refusalReasons,
  textSizeMax,
} from './content.ts'
export type { DeviceList, DeviceListError, DeviceListForkError, ListedDevice } from './device-list.ts'
export { mergeDeviceLists, verifyDeviceList } from './device-list.ts'
export type { DeviceListAction, DeviceListEntry, DeviceRight } from './device-list-entry.ts'
export {
  decodeDeviceListEntry,
  deviceListActions,
  deviceListEntriesMax,
  deviceListEntrySizeMax,
  deviceListSigners,
  deviceRights,
  devicesMax,
  hashDeviceListEntry,
  signDeviceListEntry,
} from './device-list-entry.ts'
export type { Disconnect, DisconnectReason } from './disconnect.ts'
export { decodeDisconnect, disconnectReasons, encodeDisconnect } from './disconnect.ts'
export type { Envelope, NextHop } from './envelope.ts'
export {
  decodeEnvelope,
  encodeEnvelope,
  envelopeKinds,
  envelopeSizeMax,
  initialEnvelopeOverheadMax,
  nextHopLayerSizeMax,
  nextHopTag,
  sessionHeaderSizeMax,
} from './envelope.ts'
export type { Fragment } from './fragment.ts'
export {
  decodeFragment,
  encodeFragment,
  fragmentedSizeMax,
  fragmentPayload,
  fragmentSizeMax,
  fragmentsMax,
  isFragmentable,
} from './fragment.ts'
export type { Frame, FrameError, FrameType, FrameTypeName } from './frame.ts'
export {
  decodeFrame,
  encodeFrame,
  frameBufferSize,
  frameHeaderSize,
  framePayloadSizeMax,
  frameSizeMin,
  frameTrailerSize,
  frameTypes,
  pipeMessageOverhead,
  pipeMessageSizeMax,
  protocolVersion,
} from './frame.ts'
export type {
  GossipAnnouncement,
  GossipData,
  GossipInterest,
  GossipMessage,
  GossipRoute,
  UnsignedGossipData,
} from './gossip/gossip-message.ts'
export {
  decodeGossipMessage,
  encodeGossipBody,
  encodeGossipData,
  encodeGossipMessage,
  gossipBody,
  gossipDataOverhead,
  gossipDistanceMax,
  gossipHintSizeMax,
  gossipHintsMax,
  gossipHopsMax,
  gossipIdsMax,
  gossipInterestsMax,
  gossipKinds,
  gossipMessageSizeMax,
  gossipShortIdSize,
  gossipTopicSizeMax,
  isGossipTopic,
  peekGossipId,
  peekGossipRoute,
  peekGossipTopic,
  withGossipHop,
} from './gossip/gossip-message.ts'
export type { HandshakeBinding, HandshakeMessage } from './handshake.ts'
export {
  decodeHandshakeMessage,
  defaultFeatures,
  encodeHandshakeMessage,
  featureSizeMax,
  featuresMax,
  handshakeMessageSizeMax,
  handshakePrologue,
  negotiateFeatures,
} from './handshake.ts'
export type { Invite, InviteError } from './invite.ts'
export {
  encodeInvite,
  inviteAddressesMax,
  inviteAddressForms,
  inviteAddressLengthMax,
  inviteCheckSize,
  inviteLengthLimit,
  inviteNameSizeMax,
  inviteNameSizeMin,
  invitePayloadSizeMax,
  invitePrefix,
  inviteTags,
  isInviteAddress,
  parseInvite,
} from './invite.ts'
export type { KeepAlive } from './keep-alive.ts'
export { decodeKeepAlive, encodeKeepAlive, keepAliveKinds } from './keep-alive.ts'
export {
  deliveryTokenSize,
  deliveryTokenWindow,
  depositSecretSize,
  depositToken,
  inviteDepositSecret,
  inviteTokensPerUse,
  tokenHash,
  tokenHashSize,
} from './mailbox/delivery-token.ts'
export type { BoxAddress, MailboxAddress } from './mailbox/mailbox-address.ts'
export {
  boxIdOf,
  boxIdSize,
  formatBoxAddress,
  formatMailboxAddress,
  mailboxIdOf,
  mailboxIdSize,
  parseBoxAddress,
  parseMailboxAddress,
} from './mailbox/mailbox-address.ts'
export type { MailboxMessage, MailboxRefusal, MailboxStock, MailboxTokenStatus } from './mailbox/mailbox-message.ts'
export {
  decodeMailboxMessage,
  encodeMailboxMessage,
  mailboxAckBytes,
  mailboxAckIdsMax,
  mailboxBundlesPerMessage,
  mailboxCheckTokensMax,
  mailboxMessageKinds,
  mailboxMessageSizeMax,
  mailboxRefusals,
  mailboxTokenStatuses,
  mailboxTokensPerMessage,
  mailboxWindow,
  signMailboxAck,
  verifyMailboxAck,
} from './mailbox/mailbox-message.ts'
export type { SealedContent } from './mailbox/sealed-content.ts'
export {
  decodeSealedContent,
  encodeSealedContent,
  sealedAnnouncementSizeMax,
  sealedContentOverhead,
  sealedContentSize,
  sealedEnvelopeOverhead,
  sealedEnvelopesMax,
} from './mailbox/sealed-content.ts'
export type { SignedStartMark, StartMark } from './mailbox/start-mark.ts'
export {
  decodeStartMark,
  encodeStartMark,
  signedStartMarkSize,
  signStartMark,
  startMarkSize,
  startNonceSize,
  verifyStartMark,
} from './mailbox/start-mark.ts'
export { isName, nameSizeMax } from './name.ts'
export type { AddressFamily, AddressScope, Endpoint } from './overlay/endpoint.ts'
export {
  addressScope,
  endpointScope,
  formatEndpoint,
  isLoopback,
  isPrivate,
  isPublic,
  packAddress,
  packEndpoint,
  packedEndpointSizeV4,
  packedEndpointSizeV6,
  parseEndpoint,
  unpackEndpoint,
} from './overlay/endpoint.ts'
export type { OverlayClient } from './overlay/overlay-client.ts'
export {
  decodeOverlayClient,
  encodeOverlayClient,
  overlayClientToTexts,
  overlayRendezvousMax,
  textToOverlayClient,
} from './overlay/overlay-client.ts'
export { decodeOverlayContact, encodeOverlayContact, overlayContactsMax } from './overlay/overlay-contact.ts'
export type {
  OverlayMessage,
  OverlayMessageError,
  PunchStatus,
  RendezvousStatus,
  StoreStatus,
} from './overlay/overlay-message.ts'
export {
  decodeOverlayMessage,
  encodeOverlayMessage,
  encodeOverlayMessageInto,
  overlayHeaderSize,
  overlayIdSize,
  overlayMessageSize,
  overlayMessageSizeMax,
  overlayMessageTypes,
  overlayNonceSize,
  overlayServerFlag,
  overlayServiceSizeMax,
  overlayServicesMax,
  overlayServicesSize,
  overlayTokenSize,
  overlayVersion,
  punchStatuses,
  rendezvousStatuses,
  storeStatuses,
} from './overlay/overlay-message.ts'
export type { PackedContacts } from './overlay/packed-contacts.ts'
export { contactKeySize, contactSizeV4, contactSizeV6, contactsPerMessageMax } from './overlay/packed-contacts.ts'
export type {
  OverlayRecord,
  RecordError,
  RecordToSign,
  SignedOverlayRecord,
  VerifiedRecord,
} from './overlay/record.ts'
export {
  createRecordRules,
  decodeRecord,
  encodeRecord,
  recordKey,
  recordKinds,
  recordSaltSizeMax,
  recordSizeMax,
  signedRecordKey,
  signedRecordOverhead,
  signingRecordSalt,
  signRecord,
  valueRecordOverhead,
  verifyRecord,
} from './overlay/record.ts'
export type { NumberedPrekey, PrekeyBundleError, SignedPrekeyBundle } from './prekey-bundle.ts'
export {
  decodePrekeyBundle,
  kemPublicKeySize,
  prekeyBundleFlags,
  prekeyBundleSizeMax,
  prekeyBundleTags,
  sealingKeySize,
  signPrekeyBundle,
  verifyPrekeyBundle,
} from './prekey-bundle.ts'
export type { BundleManifest, PrekeyDocument, SealedBundleError, SplitBundle } from './prekey-document.ts'
export {
  bundlePartSizeMax,
  bundlePartsMax,
  decodeBundleManifest,
  decodePrekeyDocument,
  encodePrekeyDocument,
  joinBundle,
  openBundle,
  prekeyAnnouncementSizeMax,
  sealBundle,
  sealedBundleOverhead,
  sealedBundleSizeMax,
  sealedBundleStep,
  splitBundle,
} from './prekey-document.ts'
export type { PeerQuery, PeerResponse } from './query.ts'
export {
  decodePeerQuery,
  decodePeerResponse,
  encodePeerQuery,
  encodePeerResponse,
  queryTags,
  responseBodySizeMax,
} from './query.ts'
export type { Reassembled, ReassemblerOptions, ReassemblyError } from './reassembler.ts'
export { defaultReassemblerOptions, Reassembler } from './reassembler.ts'
export type { ContactWays } from './records/contact-ways.ts'
export {
  contactServicesMax,
  contactWaysSizeMax,
  contactWaysTags,
  decodeContactWays,
  encodeContactWays,
} from './records/contact-ways.ts'
export type { DeviceRecord, DeviceRecordError, RecordEntry } from './records/device-record.ts'
export {
  decodeDeviceRecord,
  deviceRecordAddressesMax,
  deviceRecordCircuitsMax,
  deviceRecordSizeMax,
  deviceRecordTags,
  deviceRecordUrlLengthMax,
  isRecordFresh,
  recordEntriesMax,
  recordLifetimeMs,
  recordSkewMs,
  signDeviceRecord,
  verifyDeviceRecord,
} from './records/device-record.ts'
export { boxEntryKind, boxToEntry, boxUrlLengthMax, entryToBox } from './records/mailbox-entry.ts'
export type { RecordLocator, SealedRecordError } from './records/sealed-record.ts'
export {
  deriveRecordLocator,
  locatorKeySize,
  openDeviceRecord,
  sealDeviceRecord,
  sealedRecordOverhead,
  sealedRecordSize,
} from './records/sealed-record.ts'
export type { ServiceRecord, ServiceRecordError } from './records/service-record.ts'
export {
  decodeServiceRecord,
  isServiceFresh,
  relayOfService,
  serviceKinds,
  serviceRecordKey,
  serviceRecordSalt,
  serviceRecordSizeMax,
  serviceRegionSizeMax,
  serviceUrlsMax,
  signServiceRecord,
  verifyServiceRecord,
} from './records/service-record.ts'
export { encodeWay, isWay, isWayWithin, nearestRelayScope, readWay, wayForms, wayScope } from './records/way.ts'
export type { Signal } from './signal.ts'
export {
  candidateLengthMax,
  connectionId,
  decodeSignal,
  encodeSignal,
  parseConnectionId,
  sdpLengthMax,
  signalDepthMax,
  signalSizeMax,
} from './signal.ts'
export type { SignedStructure } from './signed.ts'
export { signatureSize } from './signed.ts'
export type { Presence, Status } from './status.ts'
export { decodeStatus, encodeStatus, presences } from './status.ts'
export type { DecodeError } from './structure.ts'
export { criticalTagBit, extensionsSizeMax, structureSuite, structureVersion, tailSizeMax } from './structure.ts'
export type { StunAttribute, StunClass, StunError, StunMessage } from './stun/stun-message.ts'
export {
  decodeStunMessage,
  encodeStunMessage,
  hasUnknownRequired,
  looksLikeStun,
  stunAttribute,
  stunAttributes,
  stunAttributesMax,
  stunChangeRequest,
  stunEndpoint,
  stunEndpointAttribute,
  stunErrorAttribute,
  stunErrorCode,
  stunHeaderSize,
  stunMappedAddress,
  stunMessageSizeMax,
  stunMethods,
  stunText,
  stunTextLengthMax,
  stunTransactionSize,
} from './stun/stun-message.ts'
export type { Typing } from './typing.ts'
export { decodeTyping, encodeTyping } from './typing.ts'
