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
  import('node:fs')
    .then((fs) => {
      // In the repository the sources run as they are; a package carries what was built from them.
      var source = new URL('../src/main.ts', import.meta.url)
      return import(fs.existsSync(source) ? source.href : new URL('../dist/main.js', import.meta.url).href)
    })
    .then((program) => program.main())
}
