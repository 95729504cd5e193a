import { createSocket } from 'node:dgram'
import { request as httpRequest } from 'node:http'
import { parseEndpoint } from '@miaou/protocol'
import type { PortMappingProtocol, PortToMap } from './port-control.ts'

export interface UpnpOptions {
  /** The router's IPv4 address: nobody else is believed. */
  readonly gateway: string
  /** Own address in its network. */
  readonly local: string
  /** Where routers are looked for (UPnP Device Architecture 1.1 §1.3.2). */
  readonly search?: { readonly host: string; readonly port: number }
  /** Time for the search, and for each request. Guess. */
  readonly timeoutMs?: number
}

// What a router may answer, in characters: descriptions have some thousand. Guess.
const bodySizeMax = 65_536
const services = [
  'urn:schemas-upnp-org:service:WANIPConnection:2',
  'urn:schemas-upnp-org:service:WANIPConnection:1',
  'urn:schemas-upnp-org:service:WANPPPConnection:1',
]
const targets = [
  'urn:schemas-upnp-org:device:InternetGatewayDevice:1',
  'urn:schemas-upnp-org:device:InternetGatewayDevice:2',
]
const description = 'Miaou'

interface Control {
  readonly url: URL
  readonly service: string
}

/** UPnP Internet Gateway Device, versions 1 and 2: the part of it that maps ports. */
export function createUpnp(options: UpnpOptions): PortMappingProtocol {
  const { local, timeoutMs = 3_000 } = options
  let finding: Promise<Control | undefined> | undefined
  const act = async (action: string, fields: readonly (readonly [string, string | number])[]) => {
    finding ??= findControl(options)
    const control = await finding
    if (control === undefined) {
      finding = undefined
      return undefined
    }
    return call(control, action, fields, timeoutMs)
  }
  const name = ({ protocol, port }: PortToMap) =>
    [
      ['NewRemoteHost', ''],
      ['NewExternalPort', port],
      ['NewProtocol', protocol.toUpperCase()],
    ] as const
  return {
    name: 'upnp',
    map: async (port, lifetimeS) => {
      const add = (lease: number) =>
        act('AddPortMapping', [
          ...name(port),
          ['NewInternalPort', port.port],
          ['NewInternalClient', local],
          ['NewEnabled', 1],
          ['NewPortMappingDescription', description],
          ['NewLeaseDuration', lease],
        ])
      const added = await add(lifetimeS)
      // Error 725: this router knows only mappings without an end, which `unmap` takes back.
      const isPermanentOnly = added !== undefined && /<errorCode>\s*725\s*</.test(added.body)
      const done = isPermanentOnly ? await add(0) : added
      if (done === undefined || done.status !== 200) return undefined
      const told = await act('GetExternalIPAddress', [])
      const host = /<NewExternalIPAddress>\s*([\d.]+)\s*</.exec(told?.body ?? '')?.[1]
      const external = host === undefined ? undefined : parseEndpoint(`${host}:${port.port}`)
      return external === undefined ? undefined : { ...port, external, lifetimeS }
    },
    unmap: async (port) => {
      await act('DeletePortMapping', name(port))
    },
  }
}

/** Searches the router, and reads where it takes orders. */
async function findControl(options: UpnpOptions): Promise<Control | undefined> {
  const location = await search(options)
  if (location === undefined) return undefined
  const answer = await send(location, 'GET', {}, '', options.timeoutMs ?? 3_000)
  if (answer?.status !== 200) return undefined
  for (const service of services) {
    const section = answer.body
      .split(/<service>/i)
      .slice(1)
      .map((text) => text.split(/<\/service>/i)[0] ?? '')
      .find((text) => text.includes(`>${service}<`))
    const path = /<controlURL>\s*([^<\s]{1,512})\s*<\/controlURL>/i.exec(section ?? '')?.[1]
    if (path === undefined || !URL.canParse(path, location)) continue
    const url = new URL(path, location)
    // A router sends us to nobody else.
    if (url.protocol === 'http:' && url.hostname === options.gateway) return { url, service }
  }
  return undefined
}

function search({ gateway, local, search: at, timeoutMs = 3_000 }: UpnpOptions): Promise<URL | undefined> {
  const { host, port } = at ?? { host: '239.255.255.250', port: 1900 }
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
    let isDone = false
    const finish = (url: URL | undefined) => {
      if (isDone) return
      isDone = true
      clearTimeout(timer)
      clearInterval(repeat)
      socket.close()
      resolve(url)
    }
    const timer = setTimeout(() => finish(undefined), timeoutMs)
    const ask = () => {
      for (const target of targets) {
        const lines = [
          'M-SEARCH * HTTP/1.1',
          'HOST: 239.255.255.250:1900',
          'MAN: "ssdp:discover"',
          'MX: 1',
          `ST: ${target}`,
        ]
        if (!isDone) socket.send(`${lines.join('\r\n')}\r\n\r\n`, port, host, () => undefined)
      }
    }
    const repeat = setInterval(ask, 1_000)
    socket.on('error', () => finish(undefined))
    socket.on('message', (bytes, from) => {
      if (from.address !== gateway) return
      const text = /^location:\s*(\S{1,512})\s*$/im.exec(bytes.toString('latin1').slice(0, 4_096))?.[1]
      const url = text !== undefined && URL.canParse(text) ? new URL(text) : undefined
      if (url?.protocol === 'http:' && url.hostname === gateway) finish(url)
    })
    // From the network of the router only.
    socket.bind(0, local, ask)
  })
}

function call(
  { url, service }: Control,
  action: string,
  fields: readonly (readonly [string, string | number])[],
  timeoutMs: number,
): Promise<Answer | undefined> {
  const inner = fields.map(([name, value]) => `<${name}>${value}</${name}>`).join('')
  const body =
    '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ' +
    's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>' +
    `<u:${action} xmlns:u="${service}">${inner}</u:${action}></s:Body></s:Envelope>`
  const headers = { 'content-type': 'text/xml; charset="utf-8"', soapaction: `"${service}#${action}"` }
  return send(url, 'POST', headers, body, timeoutMs)
}

interface Answer {
  readonly status: number
  readonly body: string
}

/** One request; no redirect is followed. Undefined where there is no answer of a bounded size in time. */
function send(
  url: URL,
  method: 'GET' | 'POST',
  headers: Readonly<Record<string, string>>,
  body: string,
  timeoutMs: number,
): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(timeoutMs)
    const size = Buffer.byteLength(body)
    const request = httpRequest(
      url,
      { method, signal, agent: false, headers: { ...headers, 'content-length': size } },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => {
          text += part
          if (text.length > bodySizeMax) response.destroy()
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
        response.on('close', () => resolve(undefined))
        response.on('error', () => resolve(undefined))
      },
    )
    request.on('error', () => resolve(undefined))
    request.end(body)
  })
}
