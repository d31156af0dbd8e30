import type { Administrator } from '../../shared/domain/administrator.ts';
import type { EnrollmentRow } from '../../shared/domain/enrollment.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import {
  type AdminScope,
  holderOf,
  type PeerIdentity,
  toIdentityUri,
} from '../../shared/domain/peer-identity.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { toDurationText } from '../../shared/runtime/duration-text.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import { deletedAdministratorReason } from '../revocations/revocation-rows.ts';
import type { Administrators } from './administrators.ts';
import {
  type EnrollmentAuthority,
  type EnrollmentRevocations,
  keyHashOf,
  rootBehind,
} from './enrollment-authority.ts';
import { type EnrollmentConfig, enrollmentValidMsMax } from './enrollment-config.ts';
import type { EnrollmentTokens } from './enrollment-tokens.ts';
import type { LastAdministrator } from './last-administrator.ts';

/** What commands about enrollment need. */
export interface EnrollmentCommandsComponents {
  readonly authority: EnrollmentAuthority;
  readonly tokens: EnrollmentTokens;
  readonly administrators: Administrators;
  readonly lastAdministrator: Pick<LastAdministrator, 'putOut'>;
  readonly revocations: Pick<EnrollmentRevocations, 'revoked'>;
  readonly sites: Pick<SiteDirectory, 'own' | 'tree'>;
  readonly hasGroup: (groupName: string) => Promise<boolean>;
  /** @throws DISTRIBUTION_POINT_UNKNOWN, or REQUEST_INVALID naming the site whose DP it is */
  readonly requireOwnPoint: (dpId: string) => Promise<unknown>;
  /** Whether somebody was given a certificate before, as far as it is known, or was revoked. */
  readonly hadCertificate: (holder: string) => Promise<boolean>;
  /** host:port where tokens are to be used. */
  readonly enrollmentAddress: () => string;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/** A token that was made, and where it is to be used. */
export interface CreatedEnrollment {
  readonly text: string;
  readonly row: EnrollmentRow;
  readonly enrollmentAddress: string;
  /** Whether the machine may have a certificate of this name already. */
  readonly wasEnrolled: boolean;
}

const noScope: AdminScope = { siteCodes: [], groupNames: [] };

/** Shortest time a token counts: what is shorter was meant otherwise. */
const validMsMin = 1_000;

/** What an administrator does about tokens, and about other administrators (SEC-2). */
export class EnrollmentCommands {
  readonly #components: EnrollmentCommandsComponents;
  readonly #config: Pick<EnrollmentConfig, 'validForMs'>;

  constructor(
    components: EnrollmentCommandsComponents,
    config: Pick<EnrollmentConfig, 'validForMs'>,
  ) {
    this.#components = components;
    this.#config = config;
  }

  /**
   * Makes a token for somebody who is part of the site, or an administrator, who thereby is. What is refused has
   * made nobody an administrator.
   *
   * @param validForMs 0: as it is configured
   * @param by who asks; who has a scope makes DPs alone, of sites that the scope has: that was looked at before
   * @throws REQUEST_INVALID, DISTRIBUTION_POINT_UNKNOWN, SITE_UNKNOWN, GROUP_UNKNOWN, ADMINISTRATOR_EXISTS,
   *   ENROLLMENT_OFF of a site's token that another site makes
   */
  async create(
    identity: PeerIdentity,
    validForMs: number,
    by: PeerIdentity,
  ): Promise<CreatedEnrollment> {
    const { authority, tokens, enrollmentAddress, hadCertificate } = this.#components;
    const checkedMs = checkedValidity(validForMs, this.#config.validForMs);
    requireMayEnroll(by, identity);
    const createdBy = toIdentityUri(by);
    await this.#requireHolder(identity);
    const wasEnrolled = await hadCertificate(holderOf(identity));
    const rootKeyHash = keyHashOf(rootBehind(authority));
    const enrollment = { identity, validForMs: checkedMs, createdBy, rootKeyHash };
    const addHolder = () => this.#addAdministrator(identity, createdBy);
    const { text, row } = await tokens.create(enrollment, addHolder);
    return { text, row, enrollmentAddress: enrollmentAddress(), wasEnrolled };
  }

  /** By which the state of a token is told. */
  get nowMs(): number {
    return this.#components.clock.nowMs();
  }

  list(): AsyncIterable<EnrollmentRow> {
    return this.#components.tokens.list();
  }

  /** @throws ENROLLMENT_UNKNOWN, ENROLLMENT_STATE_CONFLICT */
  revoke(tokenId: string): Promise<EnrollmentRow> {
    return this.#components.tokens.revoke(tokenId);
  }

  listAdministrators(): AsyncIterable<Administrator> {
    return this.#components.administrators.list();
  }

  /**
   * Takes an administrator out, and revokes what he has, in one batch; then his tokens, which give nothing
   * from then on anyway.
   *
   * @throws ADMINISTRATOR_UNKNOWN, ADMINISTRATOR_LAST
   */
  deleteAdministrator(name: string, by: PeerIdentity): Promise<Administrator> {
    const { administrators, lastAdministrator, revocations, tokens } = this.#components;
    const holder = `admin/${name}`;
    const facts = { reason: deletedAdministratorReason, revokedBy: toIdentityUri(by) };
    return lastAdministrator.putOut(holder, by, async () => {
      const deleted = await administrators.delete(name, await revocations.revoked(holder, facts));
      await tokens.revokeUnusedOf(holder, 'holder-gone');
      return deleted;
    });
  }

  async #requireHolder(identity: PeerIdentity): Promise<void> {
    const { administrators, requireOwnPoint } = this.#components;
    if (identity.kind === 'dp') await requireOwnPoint(identity.dpId);
    if (identity.kind === 'site') this.#requireSite(identity.siteCode);
    if (identity.kind !== 'admin') return;
    // Who is one already keeps his scope, whatever was deleted of it since.
    if (!(await administrators.has(identity))) await this.#requireScope(identity.scope);
  }

  async #addAdministrator(identity: PeerIdentity, createdBy: string): Promise<void> {
    if (identity.kind !== 'admin') return;
    await this.#components.administrators.add(identity, createdBy);
  }

  async #requireScope({ siteCodes, groupNames }: AdminScope = noScope): Promise<void> {
    const { sites, hasGroup } = this.#components;
    for (const siteCode of siteCodes) {
      const isKnown = siteCode === sites.own.siteCode || sites.tree.get(siteCode) !== undefined;
      if (!isKnown) throw new WaybillError({ code: 'SITE_UNKNOWN', siteCode });
    }
    for (const groupName of groupNames) {
      if (!(await hasGroup(groupName)))
        throw new WaybillError({ code: 'GROUP_UNKNOWN', groupName });
    }
  }

  #requireSite(siteCode: string): void {
    const { authority, sites } = this.#components;
    const { siteCode: own, parent } = sites.own;
    if (!authority.isTop) {
      const top = sites.tree.wayUp(own).at(-1) ?? parent?.siteCode ?? '';
      const whom = top === own ? (parent?.siteCode ?? top) : top;
      const reason = `the root at the top of the hierarchy signs sites; ask site ${whom}`;
      throw new WaybillError({ code: 'ENROLLMENT_OFF', siteCode: own, reason });
    }
    if (siteCode === own) {
      const expected = 'another site than the one that is asked';
      throw requestInvalid('identity_uri', { expected, actual: siteCode });
    }
    if (!sites.tree.get(siteCode)) throw new WaybillError({ code: 'SITE_UNKNOWN', siteCode });
  }
}

/** Nobody makes somebody who may more than he himself. @throws PEER_NOT_ALLOWED */
function requireMayEnroll(by: PeerIdentity, identity: PeerIdentity): void {
  const isWhole = by.kind === 'admin' && by.role === 'full' && by.scope === undefined;
  // A client belongs to no site; an administrator may more than a scope holds.
  const isOfSite = identity.kind === 'dp' && by.kind === 'admin' && by.role === 'full';
  if (isWhole || isOfSite) return;
  throw new WaybillError({
    code: 'PEER_NOT_ALLOWED',
    caller: toIdentityUri(by),
    method: `CreateEnrollment of ${holderOf(identity)}`,
    expected: 'administrators with full rights and without a scope',
  });
}

/** @throws REQUEST_INVALID */
function checkedValidity(validForMs: number, standardMs: number): number {
  const wantedMs = validForMs === 0 ? standardMs : validForMs;
  if (wantedMs >= validMsMin && wantedMs <= enrollmentValidMsMax) return wantedMs;
  const expected = `${toDurationText(validMsMin)} to ${toDurationText(enrollmentValidMsMax)}`;
  throw requestInvalid('valid_for_ms', { expected, actual: toDurationText(validForMs) });
}
