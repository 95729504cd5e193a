import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { stagedVersion, testInstall } from './pack/install-test.ts'
import { publicPackages, stagePackage } from './pack/stage.ts'
import { projectEnv, root, runPart } from './run/part.ts'

/**
 * `npm run pack [-- --install-test]`: compiles, lays every public package out as it is published and packs it into
 * build/tarballs. With --install-test the tarballs are installed into an empty folder and run on every Node promised.
 */
const tarballs = join(root, 'build', 'tarballs')

function packStaged(stage: string): string {
  const packed = spawnSync(
    'npm',
    ['pack', '--json', '--loglevel=error', '--no-update-notifier', '--pack-destination', tarballs],
    {
      cwd: stage,
      env: projectEnv(),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  if (packed.status !== 0) throw new Error(`npm pack failed in ${stage}: ${packed.stdout}`)
  const [entry]: { filename: string; size: number }[] = Object.values(JSON.parse(packed.stdout))
  if (entry === undefined) throw new Error(`npm pack said nothing about ${stage}`)
  console.log(`${entry.filename}  ${Math.ceil(entry.size / 1024)} KB`)
  return join(tarballs, entry.filename)
}

const packages = publicPackages()
const compiled = await runPart({ name: 'compile', command: ['tsc', '-b', ...packages.map(({ folder }) => folder)] })
if (!compiled.passed) process.exit(1)
rmSync(tarballs, { recursive: true, force: true })
mkdirSync(tarballs, { recursive: true })
const started = performance.now()
let version = ''
const packed = packages.map((one) => {
  const stage = join(root, 'build', 'stage', one.folder)
  stagePackage(one, stage)
  version = stagedVersion(stage)
  return packStaged(stage)
})
console.log(
  `packed ${packed.length} packages into build/tarballs in ${((performance.now() - started) / 1000).toFixed(1)} s`,
)
if (process.argv.includes('--install-test')) {
  const before = performance.now()
  testInstall(packed, version)
  console.log(`install test passed in ${((performance.now() - before) / 1000).toFixed(1)} s`)
}
