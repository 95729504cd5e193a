import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findUndeclaredWorkspaces } from '../tidy/declared.ts'
import {
  findLicenceViolations,
  findLooseVersions,
  findPeerToPeerLibraries,
  isLicenceAllowed,
  type Lock,
} from '../tidy/dependencies.ts'
import { findEscapes } from '../tidy/escapes.ts'
import { findImports } from '../tidy/imports.ts'
import { maskCode } from '../tidy/mask.ts'
import { findOrderViolations, findPackageCycles } from '../tidy/order.ts'
import { findImpurities, isPureSource } from '../tidy/purity.ts'
import { readProject, type SourceFile } from '../tidy/source-file.ts'
import {
  findLongFiles,
  findMachinePaths,
  findRegistryHosts,
  findSwitchedOffTests,
  findUnfinishedWords,
  skipsAllowed,
} from '../tidy/words.ts'
import { findViolations } from '../tidy.ts'

const root = join(import.meta.dirname, '../..')

function manifest(folder: string, name: string, dependencies: Record<string, string> = {}): SourceFile {
  return { path: `${folder}/package.json`, text: JSON.stringify({ name, version: '0.2.0', dependencies }) }
}

const manifests = [
  manifest('packages/core', '@miaou/core'),
  manifest('packages/crypto', '@miaou/crypto', { '@miaou/core': '0.2.0' }),
  manifest('packages/host-node', '@miaou/host-node'),
  manifest('testkit', '@miaou/testkit'),
]

function source(path: string, text: string): SourceFile {
  return { path, text }
}

describe('the project as it is', () => {
  test('breaks none of the rules', () => {
    const lock: Lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
    expect(findViolations(readProject(root), lock)).toEqual([])
  })

  test('is read: sources, tests and documents, without what git ignores', () => {
    const paths = readProject(root).map(({ path }) => path)
    expect(paths).toContain('packages/core/src/index.ts')
    expect(paths.filter((path) => path.includes('node_modules/'))).toEqual([])
  })
})

describe('masking', () => {
  test('blanks comments and keeps lines and lengths', () => {
    const text = 'a // b\n/* c\n d */ e'
    const masked = maskCode(text, { strings: false })
    expect(masked).toBe('a     \n    \n      e')
    expect(masked.length).toBe(text.length)
  })

  test.each([
    ['a string', "x = 'Date.now()' + y", "x = '          ' + y"],
    ['a string with a quote in it', "'a\\'b' + c", "'    ' + c"],
    ['an address in a string', "'http://x' + c", "'        ' + c"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the text of a template is what is masked here.
    ['a template with code in it', '`a ${b + `c ${d}`} e` + f', '`   {b + `   {d}`}  ` + f'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the text of a template is what is masked here.
    ['an object inside a template', '`${ {a: 1}.a } x` + y', '` { {a: 1}.a }  ` + y'],
    ['a regular expression with a quote', 's.match(/[\'"]/) + t', 's.match(/    /) + t'.replace('    ', '    ')],
    ['a division', 'a / b / c', 'a / b / c'],
  ])('%s', (_name, text, expected) => {
    expect(maskCode(text, { strings: true })).toBe(expected)
  })

  test('an unfinished string, template or comment ends with the text', () => {
    for (const text of ["'abc", '`abc', '/* abc', '/abc', '`${']) {
      expect(maskCode(text, { strings: true }).length).toBeGreaterThanOrEqual(text.length)
    }
  })
})

describe('imports', () => {
  test('every form is found, none in comments', () => {
    const text = [
      "import { a } from './a.ts'",
      "import type {\n  B,\n} from '@miaou/core'",
      "export * from './c.ts'",
      "import 'node:d'",
      "const e = await import('./e.ts')",
      "// import { f } from './f.ts'",
    ].join('\n')
    expect(new Set(findImports(source('packages/core/src/x.ts', text)).map(({ specifier }) => specifier))).toEqual(
      new Set(['./a.ts', '@miaou/core', './c.ts', 'node:d', './e.ts']),
    )
  })
})

describe('order of packages', () => {
  const order = (file: SourceFile): string[] => findOrderViolations([...manifests, file]).map(({ message }) => message)

  test('an earlier room is fine, a later one is not', () => {
    expect(order(source('packages/crypto/src/a.ts', "import { ok } from '@miaou/core'"))).toEqual([])
    expect(order(source('packages/core/src/a.ts', "import { x } from '@miaou/crypto'"))).toEqual([
      'packages/core may not import packages/crypto, a later room',
    ])
  })

  test('by path and past the index are told', () => {
    expect(order(source('packages/crypto/src/a.ts', "import '../../core/src/ids.ts'"))).toEqual([
      'import packages/core by its name, not by a path',
    ])
    expect(order(source('packages/crypto/src/a.ts', "import '@miaou/core/src/ids.ts'"))).toEqual([
      'import packages/core through its index',
    ])
  })

  test('what is about the insides of the others may reach past an index', () => {
    expect(order(source('testkit/src/a.ts', "import '../../packages/core/src/ids.ts'"))).toEqual([])
  })

  test('a dynamic import counts, a test may import anything', () => {
    expect(order(source('packages/core/src/a.ts', "await import('@miaou/host-node')"))).toHaveLength(1)
    expect(order(source('packages/core/test/a.test.ts', "import '@miaou/testkit'"))).toEqual([])
  })

  test('a room that is not in the list is told', () => {
    expect(order(source('packages/attic/src/a.ts', 'export {}'))).toHaveLength(1)
  })

  test('a circle is told, through manifests and through imports', () => {
    const circle = [
      manifest('packages/core', '@miaou/core', { '@miaou/crypto': '0.2.0' }),
      manifest('packages/crypto', '@miaou/crypto'),
      source('packages/crypto/src/a.ts', "import { ok } from '@miaou/core'"),
    ]
    expect(findPackageCycles(circle).map(({ message }) => message)).toEqual([
      'packages import each other in a circle: packages/core → packages/crypto → packages/core',
    ])
    expect(findPackageCycles(manifests)).toEqual([])
  })
})

describe('declared workspaces', () => {
  const told = (...files: SourceFile[]): string[] => findUndeclaredWorkspaces(files).map(({ message }) => message)
  const core = manifest('packages/core', '@miaou/core')
  const uses = source('packages/crypto/src/a.ts', "import { ok } from '@miaou/core'")

  test('an import that is not declared, and a declaration that is not imported', () => {
    expect(told(core, manifest('packages/crypto', '@miaou/crypto'), uses)).toEqual([
      'packages/core is imported but not in packages/crypto/package.json',
    ])
    expect(told(core, manifest('packages/crypto', '@miaou/crypto', { '@miaou/core': '0.2.0' }))).toEqual([
      'packages/core is declared but not imported',
    ])
    expect(told(core, manifest('packages/crypto', '@miaou/crypto', { '@miaou/core': '0.2.0' }), uses)).toEqual([])
  })

  test('what a library imports in its tests needs no declaration', () => {
    const test = source('packages/crypto/test/a.test.ts', "import { ok } from '@miaou/core'")
    expect(told(core, manifest('packages/crypto', '@miaou/crypto'), test)).toEqual([])
  })
})

describe('purity', () => {
  const impure = (text: string, path = 'packages/core/src/a.ts'): number => findImpurities([source(path, text)]).length

  test.each([
    'const t = Date.now()',
    'const t = new Date()',
    'const t = Date()',
    'const r = Math.random()',
    'setTimeout(f, 1)',
    'setInterval(f, 1)',
    'setImmediate(f)',
    'queueMicrotask(f)',
    'performance.now()',
    'console.log(1)',
    'process.exit()',
    "globalThis['x']",
    "fetch('x')",
    'crypto.getRandomValues(b)',
    'Buffer.from(x)',
    "import { readFileSync } from 'node:fs'",
    "await import('node:fs')",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the planted fault lies in a template's code.
    'const s = `${Date.now()}`',
  ])('%s is told', (text) => {
    expect(impure(text)).toBe(1)
  })

  test.each([
    "// Date.now() is the host's",
    "const name = 'console.log'",
    'this.fetch(x); store.process.x; link.performance.y',
    'const updatedDate = toDate(x)',
    'class A { setTimeoutMs(x: number): void { this.setTimeout(x) } }',
  ])('%s is fine', (text) => {
    expect(impure(text)).toBe(0)
  })

  test('hosts, apps, tests and sdk/http are free to', () => {
    for (const path of [
      'packages/host-node/src/a.ts',
      'apps/cli/src/a.ts',
      'packages/core/test/a.test.ts',
      'packages/sdk/src/http/a.ts',
    ]) {
      expect(impure('Date.now()', path)).toBe(0)
    }
    expect(isPureSource('packages/sdk/src/client.ts')).toBe(true)
  })
})

describe('[A22] nothing unsafe', () => {
  test.each([
    'const a = b as unknown as string',
    'const a = b as any',
    "eval('1')",
    "new Function('return 1')",
    '// @ts-ignore: because',
    '// @ts-expect-error',
    '// biome-ignore lint/suspicious/noExplicitAny: because',
  ])('%s is told', (text) => {
    expect(findEscapes([source('packages/core/src/a.ts', text)])).toHaveLength(1)
  })

  test.each(["const a = 'eval('", '// as any of them', 'retrieval(1)', 'page.eval(1)', 'const a = b as unknown'])(
    '%s is fine',
    (text) => {
      expect(findEscapes([source('packages/core/src/a.ts', text)])).toEqual([])
    },
  )
})

describe('words', () => {
  test('a file of 601 lines is told, one of 600 is not', () => {
    expect(findLongFiles([source('packages/core/src/a.ts', 'x\n'.repeat(600))])).toEqual([])
    expect(findLongFiles([source('packages/core/src/a.ts', 'x\n'.repeat(601))])).toHaveLength(1)
  })

  test.each(['TODO', 'FIXME', 'XXX'])('%s is told, in comments too', (word) => {
    expect(findUnfinishedWords([source('packages/core/src/a.ts', `// ${word}: later`)])).toHaveLength(1)
    expect(findUnfinishedWords([source('packages/core/src/a.ts', `const ${word}S = 1`)])).toEqual([])
  })

  test.each(['/root/x', '/home/someone/project', '/Users/someone/project', '/tmp/abc'])(
    'the path %s is told',
    (path) => {
      expect(findMachinePaths([source('packages/core/src/a.ts', `// see ${path}.`)])).toHaveLength(1)
    },
  )

  test.each(['~/.local/share/miaou', '/home/you/miaou', 'https://example.org/root/x', './tmp/x', '/usr/bin/node'])(
    '%s is fine',
    (path) => {
      expect(findMachinePaths([source('README.md', `see ${path}.`)])).toEqual([])
    },
  )

  test('a folder of the reader in a document is fine', () => {
    expect(findMachinePaths([source('README.md', 'miaou up --home /tmp/bob')])).toEqual([])
  })

  test('the host of a registry is told, in the lock file too', () => {
    expect(findRegistryHosts([source('.npmrc', 'registry=https://example.org')])).toHaveLength(1)
    expect(findRegistryHosts([source('package-lock.json', '"resolved": "https://example.org/a.tgz"')])).toHaveLength(1)
    expect(findRegistryHosts([source('package.json', '"name": "registry"')])).toEqual([])
  })

  test.each([
    'test.skip(',
    'describe.only(',
    'it.todo(',
    'test.skipIf(x)(',
    'describe.runIf(x)(',
    'xit(',
    'test.concurrent.skip(',
  ])('%s is told outside the allow-list', (text) => {
    expect(findSwitchedOffTests([source('packages/core/test/a.test.ts', `${text}'a', f)`)])).toHaveLength(1)
    const [allowed = ''] = skipsAllowed.keys()
    expect(findSwitchedOffTests([source(allowed, `${text}'a', f)`)])).toEqual([])
  })
})

describe('dependencies', () => {
  const loose = (version: string): number =>
    findLooseVersions([...manifests, manifest('packages/x', '@miaou/x', { something: version })]).length

  test.each(['^1.0.0', '~1.0.0', '1.x', '*', 'latest', '>=1.0.0', 'github:a/b'])('%s is told', (version) => {
    expect(loose(version)).toBe(1)
  })

  test.each(['1.0.0', '3.54.1-build1'])('%s is fine', (version) => {
    expect(loose(version)).toBe(0)
  })

  test('a workspace in another version than its own is told', () => {
    expect(
      findLooseVersions([...manifests, manifest('packages/x', '@miaou/x', { '@miaou/core': '0.1.0' })]),
    ).toHaveLength(1)
  })

  test.each([
    ['MIT', true],
    ['(MIT OR GPL-3.0)', true],
    ['Apache-2.0 AND BSD-3-Clause', true],
    ['MIT AND GPL-3.0-only', false],
    ['GPL-3.0-only', false],
    ['AGPL-3.0', false],
    ['SEE LICENSE IN x', false],
  ])('licence %s: %s', (expression, allowed) => {
    expect(isLicenceAllowed(expression)).toBe(allowed)
  })

  function lockWith(license: string | undefined, kind: 'dependencies' | 'devDependencies'): Lock {
    const leaf = license === undefined ? { version: '1.0.0' } : { version: '1.0.0', license }
    return {
      packages: {
        'packages/core': { name: '@miaou/core', [kind]: { a: '1.0.0' } },
        'node_modules/a': { version: '1.0.0', license: 'MIT', dependencies: { b: '2.0.0' } },
        'node_modules/b': { version: '9.0.0', license: 'MIT' },
        'node_modules/a/node_modules/b': leaf,
      },
    }
  }

  test('a copyleft or unstated licence deep in what is shipped is told, beneath a development tool it is not', () => {
    expect(findLicenceViolations(lockWith('MIT', 'dependencies'))).toEqual([])
    expect(findLicenceViolations(lockWith('GPL-3.0-only', 'dependencies')).map(({ message }) => message)).toEqual([
      'b@1.0.0: GPL-3.0-only',
    ])
    expect(findLicenceViolations(lockWith(undefined, 'dependencies'))).toHaveLength(1)
    expect(findLicenceViolations(lockWith('GPL-3.0-only', 'devDependencies'))).toEqual([])
  })

  test('[E01] a library for peer-to-peer networks is told, wherever it comes from', () => {
    const names = (...packages: readonly string[]) =>
      findPeerToPeerLibraries({
        packages: Object.fromEntries(packages.map((name) => [`node_modules/${name}`, { version: '1.0.0' }])),
      }).map(({ message }) => message.split(':')[0])
    expect(
      names('ws', 'bonjour-service', '@libp2p/kad-dht', 'werift/node_modules/libp2p', 'hyperdht', 'node-devp2p'),
    ).toEqual(['@libp2p/kad-dht', 'libp2p', 'hyperdht', 'node-devp2p'])
  })
})
