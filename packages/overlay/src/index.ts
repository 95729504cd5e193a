export type {
  ContactRef,
  KademliaCommand,
  KademliaConfig,
  KademliaError,
  KademliaInput,
  KademliaMessage,
  KademliaOptions,
  KademliaOutput,
  KademliaReply,
  LookupCost,
  RecordRules,
} from './kademlia/interface.ts'
