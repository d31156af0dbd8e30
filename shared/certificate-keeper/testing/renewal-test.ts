import { X509Certificate } from 'node:crypto';
import {
  type IssuedCertificate,
  issueLeaf,
  issueRoot,
  issueSiteAuthority,
} from '../../certificates/certificate-issuing.ts';
import {
  newPrivateKey,
  publicKeyInfoOf,
  readCertificateRequest,
} from '../../certificates/certificate-requests.ts';
import { writePairFile } from '../../certificates/pair-file.ts';
import { writeSecretFile } from '../../certificates/secret-files.ts';
import { rootsFileText } from '../../certificates/trusted-roots.ts';
import { IdentityPlace } from '../../enrollment/identity-place.ts';
import type { RequestOf, ResponseOf } from '../../rpc/conversation.ts';
import { LiveCredentials } from '../../rpc/live-credentials.ts';
import { readPeerCredentials } from '../../rpc/peer-credentials.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { TemporaryDirectory } from '../../testing/temporary-directory.ts';
import { CertificateRenewal } from '../certificate-renewal.ts';
import type { RevocationOf } from '../refused-voucher.ts';

export type Request = RequestOf<'Enrollment', 'renew'>;
export type Answer = ResponseOf<'Enrollment', 'renew'>;

export const dayMs = 24 * 3_600_000;
export const aheadMs = 10 * 60_000;
export const identity = { kind: 'dp', dpId: 'PS1DP1' } as const;
export const never: AbortSignal = new AbortController().signal;

/** A root and the authority of a site under it. */
export class TestHierarchy {
  readonly root: IssuedCertificate;
  readonly authority: IssuedCertificate;

  private constructor(root: IssuedCertificate, authority: IssuedCertificate) {
    this.root = root;
    this.authority = authority;
  }

  static async create(nowMs: number, siteCode = 'PS1'): Promise<TestHierarchy> {
    const validity = {
      notBefore: new Date(nowMs - dayMs),
      notAfter: new Date(nowMs + 700 * dayMs),
    };
    const root = await issueRoot({ name: 'Waybill root test', ...validity });
    const key = await newPrivateKey();
    const publicKey = publicKeyInfoOf(key);
    const certificate = await issueSiteAuthority(root, { siteCode, publicKey, ...validity });
    return new TestHierarchy(root, { certificate, key });
  }

  /** Another certificate of a site's authority, by this root. @param key a new one, unless it is given */
  async signed(siteCode: string, beginMs: number, key?: string): Promise<IssuedCertificate> {
    const own = key ?? (await newPrivateKey());
    const [notBefore, notAfter] = [new Date(beginMs), new Date(beginMs + 700 * dayMs)];
    const facts = { siteCode, publicKey: publicKeyInfoOf(own), notBefore, notAfter };
    return { key: own, certificate: await issueSiteAuthority(this.root, facts) };
  }

  leaf(publicKey: Uint8Array, beginMs: number, uri = 'waybill://dp/PS1DP1', by = this.authority) {
    const [notBefore, notAfter] = [new Date(beginMs), new Date(beginMs + 90 * dayMs)];
    const names = { commonName: 'dp/PS1DP1', uris: [uri] };
    return issueLeaf(by, { ...names, publicKey, notBefore, notAfter });
  }
}

/** A DP with its files, and the site that it asks. */
export class RenewalTest implements AsyncDisposable {
  readonly clock = new FakeClock(Date.UTC(2026, 0, 1));
  readonly requests: Request[] = [];
  readonly askedForRootAlone: boolean[] = [];
  readonly hintFailures: unknown[] = [];
  readonly directory: TemporaryDirectory;
  readonly hierarchy: TestHierarchy;
  credentials!: LiveCredentials;
  renewal: CertificateRenewal;
  /** What the site answers. */
  answer: (request: Request) => Promise<Partial<Answer>>;

  private constructor(directory: TemporaryDirectory, hierarchy: TestHierarchy) {
    this.directory = directory;
    this.hierarchy = hierarchy;
    this.answer = async ({ certificateRequest }) => {
      const { publicKey } = await readCertificateRequest(certificateRequest as Buffer);
      return this.issued(await hierarchy.leaf(publicKey, this.clock.nowMs()));
    };
    this.renewal = this.newRenewal();
  }

  static async create(): Promise<RenewalTest> {
    const directory = await TemporaryDirectory.create();
    const test = new RenewalTest(directory, await TestHierarchy.create(Date.UTC(2026, 0, 1)));
    const { hierarchy } = test;
    const key = await newPrivateKey();
    const leaf = await hierarchy.leaf(publicKeyInfoOf(key), test.clock.nowMs());
    const certificates = [leaf, hierarchy.authority.certificate];
    await writePairFile(test.agentFile, { key, certificates });
    const roots = rootsFileText({ generation: 1, roots: [hierarchy.root.certificate] });
    await writeSecretFile(directory.join('roots.crt'), roots);
    test.credentials = new LiveCredentials(await test.read());
    return test;
  }

  get agentFile(): string {
    return this.directory.join('agent.pem');
  }

  get files() {
    const { agentFile } = this;
    const caFile = this.directory.join('roots.crt');
    return { caFile, certificateFile: agentFile, keyFile: agentFile };
  }

  read() {
    return readPeerCredentials(this.files, { identity, nowMs: this.clock.nowMs() });
  }

  /** As after a restart: nothing is remembered but the files. */
  newRenewal(revocationOf?: RevocationOf): CertificateRenewal {
    const place = new IdentityPlace(this.directory.path, this.agentFile);
    return new CertificateRenewal({
      ...{ place, clock: this.clock, revocationOf },
      onHintFailure: (error) => this.hintFailures.push(error),
      ask: async (request, _signal, isForRootAlone = false) => {
        this.requests.push(request);
        this.askedForRootAlone.push(isForRootAlone);
        return (await this.answer(request)) as Answer;
      },
    });
  }

  /** An answer with this certificate. */
  issued(leaf: string, issuer = this.hierarchy.authority.certificate): Partial<Answer> {
    return {
      certificate: new X509Certificate(leaf).raw,
      issuerCertificate: new X509Certificate(issuer).raw,
      ...{ siteCode: 'PS1', siteAddress: '', enrollmentAddress: '', address: '' },
      ...{ roots: [], parentSiteCode: '', parentAddress: '' },
    };
  }

  /** From now on the site answers by this authority. */
  issueBy(by: IssuedCertificate, siteCode = 'PS1'): void {
    this.answer = async ({ certificateRequest }) => {
      const { publicKey } = await readCertificateRequest(certificateRequest as Buffer);
      const leaf = await this.hierarchy.leaf(publicKey, this.clock.nowMs(), undefined, by);
      return { ...this.issued(leaf, by.certificate), siteCode };
    };
  }

  renew(): Promise<void> {
    return this.renewal.renew(this.credentials, never);
  }

  /** Renews at a site whose clock is ahead, up to where it waits for what it was given. */
  async renewAhead(changes: Partial<Answer> = {}) {
    this.answer = async ({ certificateRequest }) => {
      const { publicKey } = await readCertificateRequest(certificateRequest as Buffer);
      const leaf = await this.hierarchy.leaf(publicKey, this.clock.nowMs() + aheadMs);
      return { ...this.issued(leaf), ...changes };
    };
    const sleep = this.clock.sleep.bind(this.clock);
    const slept = new Promise<number>((resolve) => {
      this.clock.sleep = (ms, signal) => {
        resolve(ms);
        return sleep(ms, signal);
      };
    });
    const renewing = this.renew();
    return { renewing, sleptMs: await slept };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.directory[Symbol.asyncDispose]();
  }
}
