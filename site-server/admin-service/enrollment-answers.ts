import type { Administrator } from '../../shared/domain/administrator.ts';
import {
  type EnrollmentRow,
  type EnrollmentState,
  enrollmentEndedAtMs,
  stateOfEnrollment,
  type TokenRevocation,
} from '../../shared/domain/enrollment.ts';
import { isTokenId } from '../../shared/domain/enrollment-token.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { fromIdentityUri, type PeerIdentity } from '../../shared/domain/peer-identity.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { AdministratorRecord } from '../../shared/rpc/generated/waybill/v1/AdministratorRecord.ts';
import type { EnrollmentRecord } from '../../shared/rpc/generated/waybill/v1/EnrollmentRecord.ts';
import type { CertificateWatch } from '../certificate-watch/certificate-watch.ts';
import type { EnrollmentCommands } from '../enrollment/enrollment-commands.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { AdminScopes } from './admin-scopes.ts';
import { checkedNumber } from './request-text.ts';

/** What answering about enrollment needs. */
export interface EnrollmentAnswersComponents {
  /** None: this site has no authority. */
  readonly enrollmentCommands?: EnrollmentCommands | undefined;
  readonly sites: Pick<SiteDirectory, 'own' | 'tree' | 'identityOf'>;
  readonly hierarchy: Pick<HierarchyManager, 'requireAnywhere'>;
  readonly scopes: Pick<AdminScopes, 'checkOf'>;
  /** Whose certificates count no more. */
  readonly certificates: Pick<CertificateWatch, 'known'>;
}

/** Longest name of an administrator that is looked for, and longest identity URI that is read. */
const nameCharsMax = 63;
const identityCharsMax = 4_096;

const stateNames = {
  unused: 'ENROLLMENT_STATE_UNUSED',
  used: 'ENROLLMENT_STATE_USED',
  expired: 'ENROLLMENT_STATE_EXPIRED',
  revoked: 'ENROLLMENT_STATE_REVOKED',
} as const satisfies Record<EnrollmentState, string>;

const revocationWords: Readonly<Record<TokenRevocation, string>> = {
  administrator: 'an administrator revoked it',
  'wrong-secrets': 'somebody knew its ID and not its secret, too often',
  'newer-token': 'a newer one was made',
  'holder-gone': 'whom it was for was deleted or revoked',
};

/** Answers what administrators ask and say about tokens, and about other administrators. */
export class EnrollmentAnswers {
  readonly #components: EnrollmentAnswersComponents;

  constructor(components: EnrollmentAnswersComponents) {
    this.#components = components;
  }

  methods() {
    return {
      createEnrollment: async (request, context) => {
        const identity = requireIdentity(request.identityUri);
        const validForMs = checkedNumber('valid_for_ms', request.validForMs);
        await this.#requireInScope(identity, context);
        const { identity: by } = context.caller;
        const created = await this.#commands.create(identity, validForMs, by);
        const { text: token, row, enrollmentAddress, wasEnrolled } = created;
        const { siteCode } = this.#components.sites.own;
        const enrollment = this.#toRecord(row);
        return { token, enrollment, enrollmentAddress, siteCode, wasEnrolled };
      },
      listEnrollments: ({ history }) => this.#list(history),
      revokeEnrollment: async ({ tokenId }) => {
        return this.#toRecord(await this.#commands.revoke(requireTokenId(tokenId)));
      },
      listAdministrators: () => this.#administrators(),
      deleteAdministrator: async ({ name }, { caller }) => {
        const shown = requireName(name);
        return toAdministratorRecord(
          await this.#commands.deleteAdministrator(shown, caller.identity),
        );
      },
    } satisfies Partial<Conversation<'Admin'>>;
  }

  /** Whoever is no DP, a scope never holds: the commands refuse that. @throws SCOPE_EXCEEDED */
  async #requireInScope(identity: PeerIdentity, context: CallContext): Promise<void> {
    if (identity.kind !== 'dp') return;
    const { hierarchy, scopes } = this.#components;
    const { siteCode } = await hierarchy.requireAnywhere(identity.dpId);
    await scopes.checkOf(context)({ siteCodes: [siteCode] });
  }

  async *#list(history: boolean): AsyncGenerator<EnrollmentRecord> {
    const { nowMs } = this.#commands;
    const rows: EnrollmentRow[] = [];
    // At most as many as there may be tokens, some hundred bytes each.
    for await (const row of this.#commands.list()) {
      if (history || isOfUse(row, nowMs)) rows.push(row);
    }
    rows.sort((a, b) => b.createdAtMs - a.createdAtMs || (a.tokenId < b.tokenId ? -1 : 1));
    for (const row of rows) yield this.#toRecord(row);
  }

  async *#administrators(): AsyncGenerator<AdministratorRecord> {
    const all = this.#commands.listAdministrators();
    const revokedAtMs = await this.#revokedAtMs();
    for await (const one of all) {
      const atMs = revokedAtMs.get(`admin/${one.name}`) ?? 0;
      yield { ...toAdministratorRecord(one), revokedAtMs: atMs };
    }
  }

  /** By holder, as `listCertificates` tells it: who has a newer certificate is not among them. */
  async #revokedAtMs(): Promise<ReadonlyMap<string, number>> {
    const known = await this.#components.certificates.known();
    return new Map(
      known.flatMap(({ holder, revoked }) => (revoked ? [[holder, revoked.revokedAtMs]] : [])),
    );
  }

  #toRecord(row: EnrollmentRow): EnrollmentRecord {
    const { tokenId, identityUri, createdAtMs, createdBy, expiresAtMs, wrongSecretCount } = row;
    const state = stateOfEnrollment(row, this.#commands.nowMs);
    return {
      ...{ tokenId, identityUri, createdAtMs, createdBy, expiresAtMs, wrongSecretCount },
      state: stateNames[state],
      usedAtMs: row.used?.atMs ?? 0,
      usedFrom: row.used?.callerAddress ?? '',
      reason: row.revoked ? revocationWords[row.revoked.because] : '',
    };
  }

  /** @throws ENROLLMENT_OFF */
  get #commands(): EnrollmentCommands {
    const { enrollmentCommands, sites } = this.#components;
    if (enrollmentCommands) return enrollmentCommands;
    const { siteCode } = sites.own;
    const reason = 'it has no authority of its own, as "waybill-site init" makes one';
    throw new WaybillError({ code: 'ENROLLMENT_OFF', siteCode, reason });
  }
}

function isOfUse(row: EnrollmentRow, nowMs: number): boolean {
  return !row.used && enrollmentEndedAtMs(row, nowMs) === undefined;
}

function toAdministratorRecord(administrator: Administrator): AdministratorRecord {
  return { ...administrator };
}

function requireIdentity(text: string): PeerIdentity {
  const identity = text.length > identityCharsMax ? undefined : fromIdentityUri(text);
  if (identity) return identity;
  const expected = 'an identity such as waybill://dp/PS1DP1 or waybill://admin/operator/bob';
  throw requestInvalid('identity_uri', { expected, actual: quoted(text) });
}

function requireTokenId(text: string): string {
  if (isTokenId(text)) return text;
  throw requestInvalid('token_id', { expected: '16 hex digits', actual: quoted(text) });
}

function requireName(text: string): string {
  if (text.length > 0 && text.length <= nameCharsMax && !text.includes('/')) return text;
  const expected = `a name of 1 to ${nameCharsMax} characters without a slash`;
  const remedy = '"waybill admin list" shows those there are';
  throw requestInvalid('name', { expected, actual: quoted(text), remedy });
}
