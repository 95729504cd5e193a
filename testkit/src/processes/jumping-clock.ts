/**
 * Loaded before a program (`NODE_OPTIONS=--import=…`): its wall clock stands `MIAOU_TEST_CLOCK_MS` beside the true one,
 * and jumps by as much again at each SIGUSR2. The monotonic clock and timers go on, as they do when a person or NTP sets
 * a machine's clock. (libfaketime would move both.)
 */
const stepMs = Number(process.env['MIAOU_TEST_CLOCK_MS'] ?? 0)
let offsetMs = process.env['MIAOU_TEST_CLOCK_STARTS'] === 'jumped' ? stepMs : 0
const trueNow = Date.now
const now = () => trueNow() + offsetMs

globalThis.Date = new Proxy(Date, {
  construct: (target, given, newTarget) => Reflect.construct(target, given.length === 0 ? [now()] : given, newTarget),
  get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
})
process.on('SIGUSR2', () => {
  offsetMs += stepMs
})
