import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ChannelCredentials, Client, Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { type Flaw, issueDevelopmentHierarchy } from '../certs/development-hierarchy.ts';
import { type PeerIdentity, toIdentityUri } from '../shared/domain/peer-identity.ts';
import { callPolicy } from '../shared/rpc/call-policy.ts';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { encodeMessage } from '../shared/rpc/service-definitions.ts';
import { type AccessRow, readAccessTable } from './access-table.ts';
import type { AgentProcess } from './agent-process.ts';
import { adminIdentity, Network } from './network.ts';
import { foreignClient } from './rpc/foreign-client.ts';
import { listServices } from './rpc/tool-client.ts';

/** Who stands for each column of the table. */
const callers: Readonly<Record<string, PeerIdentity>> = {
  'own site': { kind: 'site', siteCode: 'PS1' },
  'other site': { kind: 'site', siteCode: 'PS2' },
  'own DP': { kind: 'dp', dpId: 'PS1DP1' },
  'other DP': { kind: 'dp', dpId: 'PS2DP1' },
  full: { kind: 'admin', role: 'full', name: 'alice' },
  operator: { kind: 'admin', role: 'operator', name: 'olga' },
  'read-only': { kind: 'admin', role: 'read-only', name: 'rita' },
  'with a scope': {
    ...{ kind: 'admin', role: 'full', name: 'bob' },
    scope: { siteCodes: ['PS1'], groupNames: [] },
  },
  client: { kind: 'client', name: 'pc1' },
};
const mallory: PeerIdentity = { kind: 'admin', role: 'full', name: 'mallory' };
/** Certificates that do not get past the handshake, and what is written down of them. */
const strangers = {
  none: 'no certificate',
  foreign: 'the certificate is not from our CA',
  expired: 'the certificate has expired',
  'not-yet-valid': 'the certificate is not valid yet',
} as const;
type Stranger = keyof typeof strangers;

const refusalText = /may not call|may change only/;
/** What only some sites may: neither this site itself nor one that it does not know is one of them. */
const ofSomeSites = ['neighbours', 'known sites'];
const lookMs = 50;
const looksMax = 200;
const healthCheck = '/grpc.health.v1.Health/Check';

type AuditField = 'caller' | 'method' | 'result' | 'detail';

interface Outcome {
  readonly code: status;
  readonly details: string;
}

/** A call that is answered, and is answered only after those before it on the same connection. */
function called(
  caller: Client,
  path: string,
  request: Buffer,
): {
  readonly ended: Promise<Outcome>;
  readonly cancel: () => void;
} {
  const call = caller.makeBidiStreamRequest(
    path,
    (bytes: Buffer) => bytes,
    (bytes) => bytes,
    new Metadata(),
  );
  call.write(request);
  call.end();
  call.resume();
  call.on('error', () => {});
  const ended = new Promise<Outcome>((resolve) => {
    call.on('status', ({ code, details }: StatusObject) => resolve({ code, details }));
  });
  return { ended, cancel: () => call.cancel() };
}

/** How a call ends; undefined when it goes on while a later one is answered: then it was not refused. */
async function outcomeOf(
  caller: Client,
  path: string,
  request: Buffer,
): Promise<Outcome | undefined> {
  const { ended, cancel } = called(caller, path, request);
  const later = called(caller, healthCheck, Buffer.alloc(0));
  const outcome = await Promise.race([ended, later.ended.then(() => undefined)]);
  cancel();
  await Promise.all([ended, later.ended]);
  return outcome;
}

/** Empty, or what lets a DP speak for itself. */
function requestOf(path: string, identity: PeerIdentity): Buffer {
  if (!path.endsWith('/ReportState') || identity.kind !== 'dp') return Buffer.alloc(0);
  return encodeMessage('ManagementPoint', 'reportState', { dpId: identity.dpId });
}

/** Whether an outcome is a refusal: of the policy, or of a method that knows more than that. */
function isRefused(path: string, outcome: Outcome | undefined, by: 'any' | 'policy'): boolean {
  if (outcome?.code !== status.PERMISSION_DENIED || !refusalText.test(outcome.details))
    return false;
  const words = callPolicy.get(path)?.callers.join('; ') ?? 'nobody';
  const isPolicy = outcome.details.endsWith(`expected ${words}`);
  return by === 'any' || isPolicy || outcome.details.includes('belongs to no site or group');
}

describe('each method of real servers, called with each kind of certificate (SEC-1, ADM-5)', () => {
  let network: Network;
  let table: readonly AccessRow[];

  before(async () => {
    network = await Network.start({ distributionPoints: ['PS1DP1'] });
    table = await readAccessTable();
  });

  after(() => network.stop());

  async function clientOf(
    agent: AgentProcess,
    identity: PeerIdentity,
    flaw?: Flaw,
  ): Promise<Client> {
    const directory = join(network.directory, 'certs');
    const request = { directory, identities: [identity], ...(flaw && { flaw }) };
    const [files] = await issueDevelopmentHierarchy(request);
    assert.ok(files);
    const { caFile, certificateFile, keyFile } = files;
    const [ca, certificate, key] = await Promise.all(
      [caFile, certificateFile, keyFile].map((file) => readFile(file)),
    );
    assert.ok(ca && certificate && key);
    return foreignClient(agent.address, { ca, certificate, key, identity });
  }

  async function strangerOf(agent: AgentProcess, kind: Stranger): Promise<Client> {
    if (kind === 'expired' || kind === 'not-yet-valid') return clientOf(agent, mallory, kind);
    const { ca } = await readPeerCredentials(network.certificateFiles(adminIdentity));
    if (kind === 'none') {
      const options = { checkServerIdentity: () => undefined };
      const credentials = ChannelCredentials.createSsl(ca, null, null, options);
      const name = { 'grpc.ssl_target_name_override': 'waybill.invalid' };
      return new Client(agent.address, credentials, name);
    }
    const directory = join(network.directory, 'foreign-certs');
    const [files] = await issueDevelopmentHierarchy({ directory, identities: [mallory] });
    assert.ok(files);
    return foreignClient(agent.address, { ...(await readPeerCredentials(files)), ca });
  }

  /** The methods that this server has, by what it says itself. */
  async function methodsOf(agent: AgentProcess): Promise<AccessRow[]> {
    const caller = await clientOf(agent, adminIdentity);
    const services = await listServices(caller);
    caller.close();
    const rows = table.filter(({ service }) => services.includes(service));
    const known = new Set(rows.map(({ service }) => service));
    assert.deepEqual(
      services.filter((service) => !known.has(service)),
      [],
    );
    return rows;
  }

  /** What has been written down of refusals: `caller method`, each once. */
  async function refusalsOf(agent: AgentProcess): Promise<Set<string>> {
    const records = agent === network.site ? await siteRecords() : await dpRecords(agent);
    return new Set(
      records
        .filter(({ result }) => result === 'PEER_NOT_ALLOWED' || result === 'SCOPE_EXCEEDED')
        .map(({ caller, method, detail }) =>
          method === 'tls-handshake' ? `${method} ${detail}` : `${caller} ${method}`,
        ),
    );
  }

  /** The same once all of these are there: a DP writes its log a moment later. */
  async function refusalsWith(
    agent: AgentProcess,
    expected: readonly string[],
  ): Promise<Set<string>> {
    for (let look = 0; ; look++) {
      const written = await refusalsOf(agent);
      const missing = expected.filter((one) => !written.has(one));
      if (missing.length === 0) return written;
      assert.ok(look < looksMax, `not written down: ${missing.slice(0, 5).join('; ')}`);
      await sleep(lookMs);
    }
  }

  async function siteRecords() {
    const admin = await network.admin();
    const records = [];
    const filter = { refusedOnly: true, limit: 10_000 };
    const listed = admin.serverStream('listAuditRecords', filter, { deadlineMs: 10_000 });
    for await (const one of listed) records.push(one);
    return records;
  }

  async function dpRecords(agent: AgentProcess) {
    const path = join(network.dataDirectoryOf(agent.name), 'logs', 'audit.log');
    // A line that is just being written is read the next time.
    const lines = (await readFile(path, 'utf8')).split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Record<AuditField, string>);
  }

  it('site server: a site that is no neighbour, and is not known, may nothing of what sites may', async () => {
    const refused: string[] = [];
    for (const column of ['own site', 'other site']) {
      const identity = callers[column] ?? assert.fail(column);
      const caller = await clientOf(network.site, identity);
      for (const { path, cells } of await methodsOf(network.site)) {
        if (!ofSomeSites.includes(cells.get(column) ?? '')) continue;
        const { code, details } = await called(caller, path, Buffer.alloc(0)).ended;
        const what = `${path} by ${column}: ${status[code]} ${details}`;
        // Whether a site is known is said by Synchronise in words of its own.
        const isOwnWord = path.endsWith('/Synchronise') && code !== status.OK;
        assert.ok(
          isOwnWord || (code === status.PERMISSION_DENIED && refusalText.test(details)),
          what,
        );
        if (!isOwnWord) refused.push(`${toIdentityUri(identity)} ${path}`);
      }
      caller.close();
    }
    // With development certificates nobody enrolls: SiteEnrollment is tested with its component.
    assert.equal(refused.length, 6);
    await refusalsWith(network.site, refused);
  });

  for (const kind of ['site server', 'DP agent'] as const) {
    const agentOf = () => (kind === 'site server' ? network.site : network.dp('PS1DP1'));

    it(`${kind}: what does not get past the handshake is written down`, async () => {
      for (const stranger of Object.keys(strangers) as Stranger[]) {
        const caller = await strangerOf(agentOf(), stranger);
        const { code } = await called(caller, healthCheck, Buffer.alloc(0)).ended;
        caller.close();
        assert.equal(status[code], 'UNAVAILABLE', stranger);
      }
      const details = Object.values(strangers).map((detail) => `tls-handshake ${detail}`);
      await refusalsWith(agentOf(), details);
    });

    it(`${kind}: exactly the cells of docs/access.md get past the policy`, async () => {
      const agent = agentOf();
      const methods = await methodsOf(agent);
      const refused: string[] = [];
      for (const [column, identity] of Object.entries(callers)) {
        const caller = await clientOf(agent, identity);
        for (const { path, cells } of methods) {
          const cell = cells.get(column) ?? assert.fail(column);
          const outcome = await outcomeOf(caller, path, requestOf(path, identity));
          const by = ofSomeSites.includes(cell) ? 'policy' : 'any';
          const what = `${path} by ${column}: ${JSON.stringify(outcome)}`;
          assert.equal(isRefused(path, outcome, by), cell === '–', what);
          // That would be no answer to this caller: the connection itself was lost.
          assert.notEqual(outcome?.code, status.UNAVAILABLE, what);
          if (cell === '–') refused.push(`${toIdentityUri(identity)} ${path}`);
        }
        caller.close();
      }
      const written = await refusalsWith(agent, refused);
      // Sites that are no neighbours are refused by the methods themselves.
      const others = /^(tls-handshake|unauthenticated|waybill:\/\/site\/)/;
      const surplus = [...written].filter((one) => !others.test(one) && !refused.includes(one));
      assert.deepEqual(surplus, []);
    });

    it(`${kind}: nobody without one sound certificate gets past, whatever is called`, async () => {
      const agent = agentOf();
      const methods = await methodsOf(agent);
      for (const stranger of Object.keys(strangers) as Stranger[]) {
        const caller = await strangerOf(agent, stranger);
        for (const { path } of methods) {
          const { code } = await called(caller, path, Buffer.alloc(0)).ended;
          assert.equal(status[code], 'UNAVAILABLE', `${path}, ${stranger}`);
        }
        caller.close();
      }
      const double = await clientOf(agent, mallory, 'two-identities');
      for (const { path } of methods) {
        const outcome = await called(double, path, Buffer.alloc(0)).ended;
        assert.ok(isRefused(path, outcome, 'policy'), `${path}: ${outcome.details}`);
      }
      double.close();
      await refusalsWith(
        agent,
        methods.map(({ path }) => `unauthenticated ${path}`),
      );
    });
  }
});
