import { churn } from './churn.ts'
import { colluding } from './colluding.ts'
import { durability } from './durability.ts'
import { eclipse } from './eclipse.ts'
import { flood } from './flood.ts'
import { gossip } from './gossip.ts'
import { join } from './join.ts'
import { lookup } from './lookup.ts'
import { nat } from './nat.ts'
import { partition } from './partition.ts'
import type { Scenario } from './scenario.ts'
import { sybil } from './sybil.ts'

export const scenarios: readonly Scenario[] = [
  lookup,
  join,
  churn,
  colluding,
  sybil,
  durability,
  partition,
  eclipse,
  flood,
  gossip,
  nat,
]
