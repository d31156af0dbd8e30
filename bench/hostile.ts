import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { peakRssBytes, resetPeakRss } from '../integration/process-figures.ts';
import type { AttackedPaths } from '../integration/raw-http2.ts';
import type { PeerIdentity } from '../shared/domain/peer-identity.ts';
import { HostileGround } from './hostile-ground.ts';
import { type HonestKind, HonestPeers, type HonestRates, honestWork } from './hostile-honest.ts';

/** What is wanted: others keep this part of their rate, and agents do not grow by more. */
const keptMin = 0.8;
const growthMebibytesMax = 256;
const mebibyte = 1024 * 1024;

const allClasses = ['handshakes', 'frames', 'calls', 'messages', 'guesses'] as const;
type AttackClass = (typeof allClasses)[number];

interface HostilePeer {
  readonly service: string;
  readonly at: 'site' | 'dp' | 'enrollment port';
  readonly as: PeerIdentity;
  readonly paths: AttackedPaths;
  readonly classes: readonly AttackClass[];
}

const method = (service: string, streamed: string, single: string): AttackedPaths => ({
  streamed: `/waybill.v1.${service}/${streamed}`,
  single: `/waybill.v1.${service}/${single}`,
});
const reader: PeerIdentity = { kind: 'admin', role: 'read-only', name: 'rita' };
const client: PeerIdentity = { kind: 'client', name: 'pc1' };
const otherDp: PeerIdentity = { kind: 'dp', dpId: 'PS1DP9' };
const child: PeerIdentity = { kind: 'site', siteCode: 'SS1' };
/** What needs a certificate; what needs none is the same for every service of a server. */
const certified = ['frames', 'calls', 'messages'] as const;
const all = ['handshakes', ...certified] as const;

/** One on each service, with the certificate that gets furthest there. */
const peers: readonly [HostilePeer, ...HostilePeer[]] = [
  {
    ...{ service: 'Admin', at: 'site', as: reader, classes: certified },
    paths: method('Admin', 'ListJobs', 'ListPackages'),
  },
  {
    ...{ service: 'Content', at: 'site', as: client, classes: all },
    paths: method('Content', 'Fetch', 'GetManifest'),
  },
  {
    ...{ service: 'ManagementPoint', at: 'site', as: otherDp, classes: certified },
    paths: method('ManagementPoint', 'ReportState', 'LocateContent'),
  },
  {
    ...{ service: 'Replication', at: 'site', as: child, classes: certified },
    paths: method('Replication', 'Synchronise', 'Synchronise'),
  },
  {
    ...{ service: 'SiteTransfer', at: 'site', as: child, classes: certified },
    paths: method('SiteTransfer', 'PutFile', 'OfferFile'),
  },
  {
    ...{ service: 'SiteEnrollment', at: 'site', as: child, classes: [...certified, 'guesses'] },
    paths: method('SiteEnrollment', 'PassEnroll', 'PassEnroll'),
  },
  {
    ...{ service: 'Enrollment', at: 'enrollment port', as: client, classes: [...all, 'guesses'] },
    paths: method('Enrollment', 'Enroll', 'Enroll'),
  },
  {
    ...{ service: 'Content', at: 'dp', as: otherDp, classes: all },
    paths: method('Content', 'Fetch', 'GetManifest'),
  },
  {
    ...{ service: 'DistributionPoint', at: 'dp', as: otherDp, classes: certified },
    paths: method('DistributionPoint', 'PutContent', 'Check'),
  },
];

/**
 * What honest peers keep of their rates while somebody attacks each service, one class of attacks after
 * another, each between two times of peace of the same length: what a disk gives changes. In peace a
 * neighbour takes as much of the processors as the attacker took, since he is on the same machine.
 *
 * @param seconds of attacks on each service, all classes together
 */
export async function measureHostile(seconds: number): Promise<void> {
  await using ground = await HostileGround.start();
  const honest = new HonestPeers(ground);
  const honestFor = (ms: number) => measured(ground, () => honest.rates(ms));
  const rows: Record<string, Record<string, string>> = {};
  // Warm, and busy as it will be.
  const [firstPeer] = peers;
  const first = { peer: firstPeer, attackClass: 'frames', sliceMs: (seconds * 1_000) / 4 } as const;
  await ground.filesOf(first.peer.as);
  let { cpuShare } = await underAttack(ground, first, () => honestFor(first.sliceMs));
  for (const peer of peers) {
    await ground.filesOf(peer.as);
    const sliceMs = (seconds * 1_000) / peer.classes.length;
    const slice = () => honestFor(sliceMs);
    let before = await inPeace(cpuShare, slice);
    for (const attackClass of peer.classes) {
      const attack = await underAttack(ground, { peer, attackClass, sliceMs }, slice);
      ({ cpuShare } = attack);
      const after = await inPeace(cpuShare, slice);
      const row = rowOf({ before, during: attack.during, after });
      before = after;
      const title = `${peer.service} of the ${peer.at}, ${attackClass}`;
      rows[title] = row;
      console.log(`${title}: ${wordsOf(row)}; he made ${attack.did}`);
    }
  }
  console.log(
    `\nHostile peers: one for ${seconds} s on each service; what others kept of their rate,`,
  );
  console.log('and the rates and the largest resident sets without him and with him');
  console.table(rows);
}

/** What came of honest work, and the largest resident sets of site and DP meanwhile. */
interface Slice {
  readonly rates: HonestRates;
  readonly peakBytes: readonly number[];
}

async function measured(
  { pids }: Pick<HostileGround, 'pids'>,
  work: () => Promise<HonestRates>,
): Promise<Slice> {
  for (const pid of pids) resetPeakRss(pid);
  const rates = await work();
  return { rates, peakBytes: pids.map(peakRssBytes) };
}

/** Beside a neighbour who only takes processor time, a part of one. */
async function inPeace(cpuShare: number, slice: () => Promise<Slice>): Promise<Slice> {
  const program = fileURLToPath(new URL('busy-neighbour.js', import.meta.url));
  const neighbour = spawn(process.execPath, [program, `${cpuShare}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(neighbour.stdout, 'data');
    return await slice();
  } finally {
    neighbour.kill('SIGKILL');
  }
}

async function underAttack(
  ground: HostileGround,
  attack: { peer: HostilePeer; attackClass: AttackClass; sliceMs: number },
  slice: () => Promise<Slice>,
): Promise<{ during: Slice; did: string; cpuShare: number }> {
  const attacker = await attackerOf(ground, attack);
  try {
    const said = createInterface(attacker.stdout as Readable)[Symbol.asyncIterator]();
    // That he is ready.
    await said.next();
    const during = await slice();
    if (attacker.exitCode !== null) throw new Error('The attacker ended by himself');
    attacker.kill('SIGTERM');
    const did = JSON.parse((await said.next()).value) as Record<string, number>;
    return { during, did: wordsOfBlows(did), cpuShare: Math.min(1, did.cpuShare ?? 0) };
  } finally {
    attacker.kill('SIGKILL');
  }
}

async function attackerOf(
  ground: HostileGround,
  { peer, attackClass, sliceMs }: { peer: HostilePeer; attackClass: AttackClass; sliceMs: number },
): Promise<ChildProcess> {
  const { caFile, certificateFile, keyFile } = await ground.filesOf(peer.as);
  const { streamed, single } = peer.paths;
  const program = fileURLToPath(new URL('hostile-attacker.js', import.meta.url));
  // Each kind of attack has its turn in a slice.
  const attackMs = Math.max(500, sliceMs / attackCountMax);
  const address = ground.addressOf(peer.at);
  const words = [address, caFile, certificateFile, keyFile, streamed, single, attackClass];
  // Nobody pays for what he did before: an address that failed too often waits.
  const from = `127.0.0.${2 + allClasses.indexOf(attackClass)}`;
  return spawn(process.execPath, [program, ...words, `${Math.round(attackMs)}`, from], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** As many as the largest class has. */
const attackCountMax = 8;

function wordsOfBlows({
  connectionCount = 0,
  writtenBytes = 0,
  cpuShare = 0,
}: Record<string, number>): string {
  const megabytes = (writtenBytes / 1_000_000).toFixed(1);
  const nothing = connectionCount === 0 ? ' (no attack)' : '';
  const cpu = `with ${(100 * cpuShare).toFixed(0)} % of a processor`;
  return `${connectionCount} connections and wrote ${megabytes} MB${nothing}, ${cpu}`;
}

/** For each kind of work the rate alone and attacked, and for each agent its memory. */
function rowOf(slices: { before: Slice; during: Slice; after: Slice }): Record<string, string> {
  const { before, during, after } = slices;
  const rates = (Object.keys(honestWork) as HonestKind[]).map((kind) => {
    const alone = (before.rates[kind] + after.rates[kind]) / 2;
    const attacked = during.rates[kind];
    const kept = attacked / alone;
    const mark = kept >= keptMin ? '' : ' (too little)';
    const told = `${alone.toFixed(1)} > ${attacked.toFixed(1)} ${honestWork[kind].unit}`;
    return [kind, `${kept.toFixed(2)}${mark} ${told}`];
  });
  const memory = ['site MiB', 'DP MiB'].map((name, at) => {
    const [alone = 0, attacked = 0] = [before, during].map(({ peakBytes }) =>
      Math.round((peakBytes[at] ?? 0) / mebibyte),
    );
    const mark = attacked - alone <= growthMebibytesMax ? '' : ' (too much)';
    return [name, `${alone} > ${attacked}${mark}`];
  });
  return Object.fromEntries([...rates, ...memory]) as Record<string, string>;
}

function wordsOf(row: Record<string, string>): string {
  return Object.entries(row)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}
