import type { X509Certificate } from 'node:crypto';
import {
  certificateRequestOf,
  newPrivateKey,
  readCertificateRequest,
} from '../../../shared/certificates/certificate-requests.ts';
import type { CertifiedPeer } from '../../../shared/domain/certificate-authority.ts';
import {
  fromIdentityUri,
  holderOf,
  type PeerIdentity,
} from '../../../shared/domain/peer-identity.ts';
import type { SiteDefinition } from '../../../shared/domain/site.ts';
import { SiteTree } from '../../../shared/domain/site-tree.ts';
import type { AuditEvent } from '../../../shared/rpc/audit-event.ts';
import type { EnrollRequest__Output } from '../../../shared/rpc/generated/waybill/v1/EnrollRequest.ts';
import type { IssuedIdentity__Output } from '../../../shared/rpc/generated/waybill/v1/IssuedIdentity.ts';
import type { RenewRequest__Output } from '../../../shared/rpc/generated/waybill/v1/RenewRequest.ts';
import { signRenewal } from '../../../shared/rpc/renewal-proof.ts';
import { StateStore } from '../../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../../shared/testing/captured-log.ts';
import { FakeClock } from '../../../shared/testing/fake-clock.ts';
import { SeededRandom } from '../../../shared/testing/seeded-random.ts';
import { TemporaryDirectory } from '../../../shared/testing/temporary-directory.ts';
import { AddressPace } from '../address-pace.ts';
import { Administrators } from '../administrators.ts';
import { EnrolledHolders } from '../enrolled-holders.ts';
import { Enrollment } from '../enrollment.ts';
import { EnrollmentCommands } from '../enrollment-commands.ts';
import { EnrollmentTokens } from '../enrollment-tokens.ts';
import { LastAdministrator } from '../last-administrator.ts';
import { PassingTurns } from '../passing-turns.ts';
import { Renewals } from '../renewals.ts';
import { TestAuthority } from './test-authority.ts';

const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;

/** Somebody with full rights and no scope. */
export const alice: PeerIdentity = { kind: 'admin', role: 'full', name: 'alice' };

/** The enrollment of a site, over a real store and real certificates, with a clock that stands still. */
export class TestEnrollment implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly authority: TestAuthority;
  readonly tokens: EnrollmentTokens;
  readonly administrators: Administrators;
  readonly commands: EnrollmentCommands;
  readonly enrollment: Enrollment;
  readonly store: StateStore;
  readonly events: AuditEvent[] = [];
  /** DPs of the site, with their addresses. */
  readonly points = new Map<string, { dpId: string; address: string }>();
  readonly sites = new Map<string, SiteDefinition>();
  /** Sites next to this one. */
  readonly neighbours = new Set(['PS1']);
  /** What sites show as their authorities. */
  readonly shownAuthorities = new Map<string, X509Certificate>();
  /** By holder. */
  readonly revokedAtMs = new Map<string, number>();
  /** What the top has signed for sites by itself. */
  readonly signedAuthorities = new Map<string, X509Certificate>();
  /** What the parent answers, of a site that is not the top. */
  parent: {
    enroll?: (request: EnrollRequest__Output) => Promise<IssuedIdentity__Output>;
    renew?: (request: RenewRequest__Output) => Promise<IssuedIdentity__Output>;
  } = {};
  readonly #directory: TemporaryDirectory;

  private constructor(facts: {
    clock: FakeClock;
    authority: TestAuthority;
    store: StateStore;
    directory: TemporaryDirectory;
  }) {
    const { clock, authority, store } = facts;
    this.clock = clock;
    this.authority = authority;
    this.store = store;
    this.#directory = facts.directory;
    const random = new SeededRandom(7);
    const own = { siteCode: authority.siteCode, kind: 'primary' } as const;
    const sites = { own, tree: this.#treeOf() };
    const revocations = {
      isRevoked: (peer: CertifiedPeer) => {
        const { identity, voucher, notBeforeMs, vouchedFromMs = Number.MAX_VALUE } = peer;
        const revokedAtMs = (holder: string) => this.revokedAtMs.get(holder) ?? 0;
        const isItself = notBeforeMs <= revokedAtMs(holderOf(identity));
        if (voucher === 'root') return isItself;
        return isItself || vouchedFromMs <= revokedAtMs(`site/${voucher.siteCode}`);
      },
      revoked: async (holder: string) => {
        this.revokedAtMs.set(holder, clock.nowMs());
        return [];
      },
    };
    this.administrators = new Administrators({ store, clock });
    this.tokens = new EnrollmentTokens({
      store,
      clock,
      randomBytes: (count) => random.bytes(count),
    });
    const holders = new EnrolledHolders({
      hierarchy: {
        get: async (dpId: string) => this.points.get(dpId),
        set: async (patch: { dpId: string; address?: string }) => {
          this.points.set(patch.dpId, { dpId: patch.dpId, address: patch.address ?? '' });
        },
      } as never,
      ...{ sites, administrators: this.administrators },
      setSiteAddress: async (siteCode, address) => {
        const site = this.sites.get(siteCode);
        if (site) this.sites.set(siteCode, { ...site, address });
      },
    });
    const needs = {
      ...{ authority, revocations, holders, clock, sites, tokens: this.tokens },
      ...{ administrators: this.administrators, siteAddress: () => 'ps1:8530' },
      enrollmentAddress: () => 'ps1:8532',
      authorityOf: (siteCode: string) => this.shownAuthorities.get(siteCode),
      signedAuthorityOf: (siteCode: string) => this.signedAuthorities.get(siteCode),
      readKey: async (request: Uint8Array) => (await readCertificateRequest(request)).publicKey,
    };
    this.enrollment = new Enrollment({
      ...needs,
      renewals: new Renewals(needs, { renewalGraceMs: 30 * dayMs, skewMs: 300_000 }),
      parent: authority.isTop ? undefined : this.#parent(),
      isNeighbour: (siteCode) => this.neighbours.has(siteCode),
      pace: new AddressPace(clock),
      turns: new PassingTurns(clock),
      onAudit: (event) => this.events.push(event),
    });
    const requireOwnPoint = async (dpId: string) => {
      if (!this.points.has(dpId)) throw new Error(`no DP ${dpId}`);
    };
    const lastAdministrator = new LastAdministrator({
      ...{ clock, siteCode: authority.siteCode, administrators: this.administrators },
      issued: { list: async function* () {} },
      revocations: {
        heardByIssuer: (holder) => {
          const revokedAtMs = this.revokedAtMs.get(holder);
          return revokedAtMs === undefined ? undefined : { revokedAtMs };
        },
      },
      rootKeyIds: () => [],
    });
    const hasGroup = async (groupName: string) => groupName === 'Lab';
    const hadCertificate = async (holder: string) => this.revokedAtMs.has(holder);
    const parts = { ...needs, requireOwnPoint, lastAdministrator, hasGroup, hadCertificate };
    this.commands = new EnrollmentCommands(parts, { validForMs: hourMs });
  }

  static async open(
    options: { siteCode?: string; isTop?: boolean; of?: TestAuthority; nowMs?: number } = {},
  ): Promise<TestEnrollment> {
    const directory = await TemporaryDirectory.create();
    const clock = new FakeClock(options.nowMs ?? Date.UTC(2026, 0, 1));
    const logger = new CapturedLog().logger;
    const { store } = await StateStore.open({ directory: directory.join('store'), logger });
    const authority = await TestAuthority.create(clock, options);
    const test = new TestEnrollment({ clock, authority, store, directory });
    test.points.set('PS1DP1', { dpId: 'PS1DP1', address: 'dp1:8531' });
    test.points.set('PS1DP2', { dpId: 'PS1DP2', address: 'dp2:8531' });
    return test;
  }

  /** A token for somebody, as an administrator has it made. */
  async token(identityUri: string, validForMs = 0): Promise<string> {
    const identity = fromIdentityUri(identityUri);
    if (!identity) throw new Error(`${identityUri} is nobody`);
    return (await this.commands.create(identity, validForMs, alice)).text;
  }

  /** Enrolls, as a stranger from an address. */
  async enroll(
    request: Partial<EnrollRequest__Output> & { key?: string },
    address = '192.0.2.7',
  ): Promise<IssuedIdentity__Output> {
    const { key = await newPrivateKey(), ...fields } = request;
    const certificateRequest = await certificateRequestOf(key);
    const whole = { token: '', identityUri: '', address: '', certificateRequest, ...fields };
    const signal = new AbortController().signal;
    const answer = await this.enrollment.answers().enroll(whole, { address, signal });
    return answer as IssuedIdentity__Output;
  }

  /** Renews a certificate with its key. */
  async renew(
    old: { certificate: Buffer; issuer?: Buffer; key: string },
    changes: Partial<RenewRequest__Output> & { newKey?: string } = {},
    address = '192.0.2.7',
  ): Promise<IssuedIdentity__Output> {
    const { newKey = await newPrivateKey(), ...fields } = changes;
    const certificateRequest = await certificateRequestOf(newKey);
    const request = {
      certificate: old.certificate,
      authorityCertificate: old.issuer ?? Buffer.alloc(0),
      certificateRequest,
      signature: signRenewal(old.key, certificateRequest),
      ...fields,
    };
    const signal = new AbortController().signal;
    return (await this.enrollment
      .answers()
      .renew(request, { address, signal })) as IssuedIdentity__Output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await this.#directory[Symbol.asyncDispose]();
  }

  /** Reads the sites there are at each question. */
  #treeOf(): SiteTree {
    return new Proxy({} as SiteTree, {
      get: (_target, name: keyof SiteTree) => {
        const tree = new SiteTree([...this.sites.values()]);
        const member = tree[name];
        return typeof member === 'function' ? (member as () => unknown).bind(tree) : member;
      },
    });
  }

  #parent() {
    const missing = async () => {
      throw new Error('The parent was not expected to be asked');
    };
    return {
      enroll: (request: EnrollRequest__Output) => (this.parent.enroll ?? missing)(request),
      renew: (request: RenewRequest__Output) => (this.parent.renew ?? missing)(request),
    };
  }
}
