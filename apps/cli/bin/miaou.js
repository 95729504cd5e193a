#!/usr/bin/env node
// Read by whatever Node is there, however old: nothing in this file may be newer than Node 12, and nothing is imported
// before the version is known.
var wanted = [22, 18]
var found = process.versions.node.split('.')
var isOld = +found[0] < wanted[0] || (+found[0] === wanted[0] && +found[1] < wanted[1])

if (isOld) {
  process.stderr.write(
    'Miaou needs Node >= ' +
      wanted.join('.') +
      ', this is ' +
      process.versions.node +
      '. Get it from https://nodejs.org.\n',
  )
  process.exitCode = 1
} else {
  Promise.all([import('node:fs'), import('node:module'), import('node:os'), import('node:path')])
    .then((modules) => {
      var [fs, module, os, path] = modules
      // Compiled code is kept in a folder of the user's own (never in a shared one, where others could plant theirs):
      // halves the time a command needs to start.
      var caches = process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache')
      if (module.enableCompileCache) module.enableCompileCache(path.join(caches, 'miaou', 'node'))
      // In the repository the sources run as they are; a package carries what was built from them.
      var source = new URL('../src/main.ts', import.meta.url)
      return import(fs.existsSync(source) ? source.href : new URL('../dist/main.js', import.meta.url).href)
    })
    .then((program) => program.main())
}
