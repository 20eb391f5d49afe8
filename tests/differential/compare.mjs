// SPDX-License-Identifier: MIT
// Our decoders against independent ones: what we accept they accept, and understand the same.
// usage: node compare.mjs PROGRAM CORPUS N SEED [FILE.frames...]
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { createHash } from 'node:crypto'

const require = createRequire(process.cwd() + '/')
const load = async (name) => {
  try { return require(name) } catch { return import(pathToFileURL(require.resolve(name)).href) }
}
const dagCbor = await import(pathToFileURL(process.cwd() + '/node_modules/@ipld/dag-cbor/src/index.js').href)
const { CarReader } = await import(pathToFileURL(process.cwd() + '/node_modules/@ipld/car/src/index.js').href)
const cborg = await import(pathToFileURL(process.cwd() + '/node_modules/cborg/cborg.js').href)
const repo = await load('@atproto/repo')
const syntax = await load('@atproto/syntax')

const [program, corpus, count, seedText, ...recordings] = process.argv.slice(2)
let state = BigInt(seedText) * 2n + 1n
const random = (n) => {
  state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn
  return Number((state >> 33n) % BigInt(n))
}

// ---- inputs ----

const files = (target, from = 0) => readdirSync(`${corpus}/${target}`).map((f) => readFileSync(`${corpus}/${target}/${f}`).subarray(from))

function changed(bytes) {
  const out = Buffer.from(bytes)
  for (let i = 0; i <= random(3) && out.length; i++) out[random(out.length)] = random(4) ? random(256) : out[random(out.length)]
  return random(6) ? out : out.subarray(0, random(out.length + 1))
}

function* frames(file) {
  const all = readFileSync(file)
  for (let at = 0; at + 4 <= all.length; ) {
    const n = all.readUInt32BE(at)
    yield all.subarray(at + 4, at + 4 + n)
    at += 4 + n
  }
}

const spread = (list, n) => Array.from({ length: n }, () => changed(list[random(list.length)]))
const words = files('syntax')
const kindsOfWords = ['did', 'handle', 'nsid', 'rkey', 'tid', 'datetime', 'aturi']
const values = [...files('cbor'), ...files('json'), ...files('row', 1)]
const cars = files('car')
const messages = [...files('frame'), ...recordings.flatMap((f) => [...frames(f)].slice(0, 3000))]
const cases = [
  ...[...values, ...spread(values, +count)].map((b) => ['cbor', b]),
  ...[...cars, ...spread(cars, +count / 4)].map((b) => ['car', b]),
  ...[...messages, ...spread(messages, +count / 20)].map((b) => ['frame', b]),
  ...[...words, ...spread(words, +count)].flatMap((b) => kindsOfWords.map((k) => [k, b])),
]

// ---- theirs: "no", or "ok" and what was understood; "ok ..." where the words cannot be compared ----

const link = (cid) => cid.toString()
const sha = (bytes) => {
  const digest = createHash('sha256').update(bytes).digest()
  return repo.cidForRecord ? `b${base32(Buffer.concat([Buffer.from([1, 0x71, 0x12, 0x20]), digest]))}` : ''
}
function base32(bytes) {
  let bits = 0, value = 0, out = ''
  for (const b of bytes) {
    value = (value << 8) | b
    for (bits += 8; bits >= 5; bits -= 5) out += 'abcdefghijklmnopqrstuvwxyz234567'[(value >> (bits - 5)) & 31]
    value &= 255
  }
  return bits ? out + 'abcdefghijklmnopqrstuvwxyz234567'[(value << (5 - bits)) & 31] : out
}

function json(v) {
  if (v === null || typeof v === 'boolean') return String(v)
  if (typeof v === 'bigint' || typeof v === 'number') return v.toString()
  if (typeof v === 'string') return JSON.stringify(v)
  if (v instanceof Uint8Array) return `{"$bytes":"${Buffer.from(v).toString('base64').replace(/=+$/, '')}"}`
  if (v.asCID || v['/'] ) return `{"$link":"${link(v)}"}`
  if (Array.isArray(v)) return `[${v.map(json).join(',')}]`
  return `{${[...v].map(([k, x]) => `${JSON.stringify(k)}:${json(x)}`).join(',')}}`
}

const decodeOptions = { ...dagCbor.decodeOptions, useMaps: true }
function cborOf(bytes) {
  return `ok ${sha(bytes)} ${json(cborg.decode(bytes, decodeOptions))}`
}

async function carOf(bytes) {
  const reader = await CarReader.fromBytes(bytes)
  const roots = await reader.getRoots()
  let out = `ok ${roots[0]}`
  for await (const { cid, bytes: block } of reader.blocks()) out += ` ${cid}:${block.length}`
  return out
}

async function frameOf(bytes) {
  const [header, rest] = cborg.decodeFirst(bytes, dagCbor.decodeOptions)
  const body = cborg.decode(rest, dagCbor.decodeOptions)
  const kind = header.t.slice(1)
  const did = body.repo ?? body.did
  if (kind !== 'commit' && kind !== 'sync') return `ok ${kind} ${body.seq} ${did}`
  const { root, blocks } = await repo.readCarWithRoot(body.blocks)
  const commit = cborg.decode(blocks.get(root), dagCbor.decodeOptions)
  if (commit.did !== did || commit.rev !== body.rev) return 'no'
  let out = `ok ${kind} ${body.seq} ${did} ${body.rev} ${root} ${commit.data}`
  for (const op of body.ops ?? []) {
    const record = op.cid ? blocks.get(op.cid) : undefined
    out += ` ${op.action} ${op.path}${op.cid ? ` ${op.cid}` : ''} ${record ? record.length : 0}`
  }
  return out
}

const text = (bytes) => new TextDecoder('latin1').decode(bytes)
const checks = {
  did: syntax.ensureValidDid, handle: syntax.ensureValidHandle, nsid: syntax.ensureValidNsid,
  rkey: syntax.ensureValidRecordKey, tid: syntax.ensureValidTid, datetime: syntax.ensureValidDatetime,
  aturi: syntax.ensureValidAtUri,
}

async function theirs(kind, bytes) {
  try {
    if (kind === 'cbor') return cborOf(bytes)
    if (kind === 'car') return await carOf(bytes)
    if (kind === 'frame') return await frameOf(bytes)
    checks[kind](text(bytes))
    return 'ok'
  } catch (e) {
    return `no (${String(e.message).slice(0, 80)})`
  }
}

// Disagreements that are right, each with its reason; the rest fail.
const reasons = [
  ['a record refused for itself: they read it and leave the judgement to the caller',
    (kind, ours) => kind === 'frame' && / (bad_path|bad_action|bad_cid|missing_block|cid_mismatch|record_too_large) /.test(ours)],
  ['a block nobody needs does not hash: they refuse the whole CAR, the specification says to ignore surplus blocks',
    (kind, ours, other) => kind === 'frame' && other.startsWith('no (Not a valid CID for bytes')],
]

const input = cases.map(([kind, bytes]) => `${kind} ${bytes.toString('hex')}\n`).join('')
const run = spawnSync(program, { input, maxBuffer: 1 << 30, encoding: 'utf8' })
const ours = run.stdout.split('\n')
if (run.status !== 0 || ours.length !== cases.length + 1) throw new Error(`${program}: ${run.status} ${run.signal}`)
const tally = {}, excused = {}, wrong = {}
for (let i = 0; i < cases.length; i++) {
  const [kind, bytes] = cases[i]
  const t = (tally[kind] ??= { inputs: 0, accepted: 0, compared: 0 })
  t.inputs++
  if (ours[i] === 'no') continue
  t.accepted++
  const other = await theirs(kind, bytes)
  const same = ours[i].endsWith(' inexact') ? other.startsWith(ours[i].slice(0, -7)) : other === ours[i]
  if (same) {
    t.compared++
    continue
  }
  const reason = reasons.find(([, fits]) => fits(kind, ours[i], other))
  if (reason) excused[reason[0]] = (excused[reason[0]] ?? 0) + 1
  else (wrong[kind] ??= []).push(`${bytes.toString('hex').slice(0, 200)}\n#   ours:   ${ours[i].slice(0, 300)}\n#   theirs: ${other.slice(0, 300)}`)
}
let n = 0, failed = 0
for (const [kind, t] of Object.entries(tally)) {
  const bad = wrong[kind] ?? []
  console.log(`${bad.length ? 'not ' : ''}ok ${++n} - ${kind}: of ${t.inputs} inputs we accept ${t.accepted}, they understand ${t.compared} of them the same`)
  for (const b of bad.slice(0, 5)) console.log(`# ${b}`)
  failed += bad.length > 0
}
for (const [reason, times] of Object.entries(excused)) console.log(`# ${times} times otherwise, rightly: ${reason}`)
console.log(`1..${n}`)
process.exit(failed ? 1 : 0)
