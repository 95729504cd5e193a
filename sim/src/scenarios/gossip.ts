import { ResultBuilder, type Scenario } from './scenario.ts'
export const gossip: Scenario = {
  name: 'gossip',
  summary: '',
  flags: [],
  short: {},
  run: ({ options }) => new ResultBuilder('gossip', options).build(),
}
