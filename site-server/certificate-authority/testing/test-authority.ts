import { join } from 'node:path';
import {
  certificateRequestOf,
  newPrivateKey,
  publicKeyInfoOf,
} from '../../../shared/certificates/certificate-requests.ts';
import { TrustedRoots, writeRootsFile } from '../../../shared/certificates/trusted-roots.ts';
import type { PeerIdentity } from '../../../shared/domain/peer-identity.ts';
import type { Clock } from '../../../shared/runtime/clock.ts';
import { StateStore } from '../../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../../shared/testing/captured-log.ts';
import { TemporaryDirectory } from '../../../shared/testing/temporary-directory.ts';
import { type AuthoritySettings, authoritySettings } from '../authority-config.ts';
import { readBundle } from '../authority-files.ts';
import { makeTopAuthority } from '../authority-making.ts';
import {
  CertificateAuthority,
  type CertificateAuthorityComponents,
} from '../certificate-authority.ts';
import { IssuedCertificates } from '../issued-certificates.ts';

/** How a test's authority is to be. */
export interface TestAuthorityOptions {
  readonly clock: Clock;
  readonly settings?: Partial<AuthoritySettings>;
  readonly passphrase?: string;
  readonly revocationOf?: CertificateAuthorityComponents['revocationOf'];
}

/** The top site's authority in a directory of its own, with the store it writes to. */
export class TestAuthority implements AsyncDisposable {
  readonly place: TemporaryDirectory;
  readonly store: StateStore;
  readonly log = new CapturedLog();
  readonly issued: IssuedCertificates;
  readonly #options: TestAuthorityOptions;

  private constructor(place: TemporaryDirectory, store: StateStore, options: TestAuthorityOptions) {
    this.place = place;
    this.store = store;
    this.#options = options;
    const { clock } = options;
    this.issued = new IssuedCertificates({ store, clock, logger: this.log.logger });
  }

  static async make(options: TestAuthorityOptions): Promise<TestAuthority> {
    const place = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    const { store } = await StateStore.open({ directory: place.join('store'), logger });
    const made = new TestAuthority(place, store, options);
    const { clock, passphrase } = options;
    const facts = { siteCode: 'CS1', nowMs: clock.nowMs(), settings: made.settings, passphrase };
    await makeTopAuthority(made.directory, facts);
    const bundle = await readBundle(made.directory);
    if (bundle) await writeRootsFile(made.rootsFile, bundle);
    return made;
  }

  get settings(): AuthoritySettings {
    return { ...authoritySettings.parse({}), ...this.#options.settings };
  }

  get directory(): string {
    return this.place.join('authority');
  }

  get rootsFile(): string {
    return this.place.join('roots.crt');
  }

  get agentFile(): string {
    return this.place.join('agent.pem');
  }

  /** Opens it, as a site server that starts. */
  async open(siteCode = 'CS1', clock = this.#options.clock): Promise<CertificateAuthority> {
    const { revocationOf } = this.#options;
    const trustedRoots = await TrustedRoots.open(this.rootsFile, clock);
    const needs = { clock, trustedRoots, issued: this.issued, logger: this.log.logger };
    const authority = await CertificateAuthority.open(
      { ...needs, ...(revocationOf && { revocationOf }) },
      {
        ...this.settings,
        siteCode,
        directory: this.directory,
        agentFile: this.agentFile,
      },
    );
    if (!authority) throw new Error('there is no authority');
    return authority;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await this.place[Symbol.asyncDispose]();
  }
}

/** A key of somebody who asks for a certificate, and the request. */
export async function askedWithNewKey(): Promise<{ key: string; info: Buffer; request: Buffer }> {
  const key = await newPrivateKey();
  return { key, info: publicKeyInfoOf(key), request: await certificateRequestOf(key) };
}

export const testDp: PeerIdentity = { kind: 'dp', dpId: 'CS1DP1' };

/** Where a file of the authority lies. */
export function inAuthority(authority: TestAuthority, name: string): string {
  return join(authority.directory, name);
}
