import type { Administrator } from '../../shared/domain/administrator.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { IssuedCertificateRecord } from '../../shared/domain/issued-certificate.ts';
import { fromIdentityUri, holderOf, type PeerIdentity } from '../../shared/domain/peer-identity.ts';
import { holderKindOf, isRevoked, type Revocation } from '../../shared/domain/revocation.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';

/** What knowing who is left needs. */
export interface LastAdministratorComponents {
  readonly siteCode: string;
  /** Those whom this site vouches for. */
  readonly administrators: { list(): AsyncIterable<Administrator> };
  /** What this site's authority has issued. */
  readonly issued: { list(): AsyncIterable<IssuedCertificateRecord> };
  readonly revocations: {
    heardByIssuer(holder: string): Pick<Revocation, 'revokedAtMs'> | undefined;
  };
  /** Key IDs of the roots that are trusted, see `rootKeyIdOf`. */
  readonly rootKeyIds: () => readonly string[];
  readonly clock: Pick<Clock, 'nowMs'>;
}

/**
 * Keeps a site from being left without an administrator who may do everything there: with full rights, no
 * scope, and a certificate that counts. Administrators of sites above are not known here; when one of them
 * asks, he is there himself. Stores nothing; one who is put out after another, so that no two put each other out.
 */
export class LastAdministrator {
  readonly #components: LastAdministratorComponents;
  readonly #queue = new SerialQueue();

  constructor(components: LastAdministratorComponents) {
    this.#components = components;
  }

  /**
   * Does what puts a holder out, unless nobody would be left then.
   *
   * @param by who asks, with full rights and no scope (`callPolicy`, `scopePolicy`)
   * @throws ADMINISTRATOR_LAST, and whatever the work throws
   */
  putOut<T>(holder: string, by: PeerIdentity, work: () => Promise<T>): Promise<T> {
    if (holderKindOf(holder) !== 'admin') return work();
    const askedAtMs = this.#components.clock.nowMs();
    return this.#queue.run(async () => {
      const isLeft = this.#isLeft(holder, by, askedAtMs) || (await this.#hasOther(holder));
      if (!isLeft) {
        const name = holder.slice('admin/'.length);
        const { siteCode } = this.#components;
        throw new WaybillError({ code: 'ADMINISTRATOR_LAST', name, siteCode });
      }
      return work();
    });
  }

  /** Whether who asks is somebody else, and was not put out himself while he waited for his turn. */
  #isLeft(holder: string, by: PeerIdentity, askedAtMs: number): boolean {
    const caller = holderOf(by);
    const outAtMs = this.#components.revocations.heardByIssuer(caller)?.revokedAtMs;
    return caller !== holder && (outAtMs === undefined || outAtMs < askedAtMs);
  }

  async #hasOther(holder: string): Promise<boolean> {
    const others = new Set<string>();
    for await (const { identityUri } of this.#components.administrators.list()) {
      const identity = fromIdentityUri(identityUri);
      const isWhole = identity?.kind === 'admin' && identity.role === 'full' && !identity.scope;
      if (isWhole && holderOf(identity) !== holder) others.add(identityUri);
    }
    if (others.size === 0) return false;
    const rootKeyIds = new Set(this.#components.rootKeyIds());
    for await (const one of this.#components.issued.list()) {
      if (others.has(one.identityUri) && rootKeyIds.has(one.rootKeyId) && this.#counts(one)) {
        return true;
      }
    }
    return false;
  }

  #counts({ holder, issuedAtMs, notBeforeMs, notAfterMs }: IssuedCertificateRecord): boolean {
    const { clock, revocations, siteCode } = this.#components;
    // With a site that is revoked goes whatever it had issued by then.
    const isOfRevokedSite = isRevoked(issuedAtMs, revocations.heardByIssuer(`site/${siteCode}`));
    const isOut = isRevoked(notBeforeMs, revocations.heardByIssuer(holder));
    return !isOfRevokedSite && !isOut && clock.nowMs() <= notAfterMs;
  }
}
