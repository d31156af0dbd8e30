import { WaybillError } from '../../shared/domain/errors.ts';
import { fromIdentityUri, type PeerIdentity } from '../../shared/domain/peer-identity.ts';
import type { CallerGroup } from '../../shared/rpc/call-policy.ts';
import { scopePolicy } from '../../shared/rpc/scope-policy.ts';

/** The facts of a refusal, as they come from a site server. */
interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

type Admin = Extract<PeerIdentity, { kind: 'admin' }>;

const daily: CallerGroup = 'administrators who may do the daily work';
const full: CallerGroup = 'administrators with full rights';

/** What it takes to do what was refused, and the role to ask for. */
const needs: Readonly<Record<string, { readonly who: string; readonly role: string }>> = {
  [daily]: { who: 'an operator, or an administrator with full rights', role: 'operator' },
  [full]: { who: 'an administrator with full rights', role: 'full' },
};

/**
 * What an administrator is told whose certificate, role or scope does not allow what he asked for: what it
 * takes, and whom to ask. Undefined for every other failure.
 */
export function toRefusalText({ code, message, facts }: Refusal): string | undefined {
  if (code === 'PEER_UNREACHABLE' && isOfOurCertificate(facts)) {
    return `${message}. Yours may be revoked, or over: ask another administrator, whose "waybill certs" says so`;
  }
  const caller = fromIdentityUri(String(facts.caller));
  if (caller?.kind !== 'admin') return undefined;
  if (code === 'SCOPE_EXCEEDED') {
    return `${message}. Leave that out, or ask an administrator who may change it`;
  }
  const need = code === 'PEER_NOT_ALLOWED' ? needs[String(facts.expected)] : undefined;
  return need && toRoleText(caller, { ...need, isScopeLeft: isScopeLeft(String(facts.method)) });
}

/**
 * Whether he may do it with a scope. Not for a token: that may be of somebody whom no scope holds, and the refusal does
 * not say whose it was to be.
 */
function isScopeLeft(method: string): boolean {
  return scopePolicy.has(method) && method !== '/waybill.v1.Admin/CreateEnrollment';
}

/**
 * The failure as it is told to whoever has a certificate that stands on an old root: where a site does not take it,
 * that is why, most likely, and he needs nobody.
 */
export function toldOfRootChange(error: unknown): unknown {
  if (!(error instanceof WaybillError)) return error;
  const { details } = error;
  if (details.code !== 'PEER_UNREACHABLE' || !isOfOurCertificate(details)) return error;
  return new WaybillError({ ...details, reason: `${details.reason}. ${rootChanged}` });
}

const rootChanged =
  'The root was changed, and yours stands on the old one: "waybill" renews it by itself, so try again in a minute. If that does not help for ten, have a new token made and run "waybill enroll"';

/** A site that does not take a certificate does not say why. */
function isOfOurCertificate({ peer, reason }: Refusal['facts']): boolean {
  return /^(a )?site /.test(String(peer)) && /refuses our certificate$/.test(String(reason));
}

function toRoleText(
  { role: theirs, name, scope }: Admin,
  { who, role, isScopeLeft }: { who: string; role: string; isScopeLeft: boolean },
): string {
  const added = `waybill admin add ${name} --role ${role}${isScopeLeft ? toScopeOptions(scope) : ''}`;
  const andNoScope = scope && !isScopeLeft ? ' and no scope' : '';
  return `you are ${name}, whose role is ${theirs}; this takes ${who}${andNoScope}. Ask one to do it, or one with full rights for that role: "waybill admin delete ${name}", then "${added}", and enroll anew. Where the site has no authority of its own, ask who made the certificates for another one`;
}

/**
 * Whoever gets another role keeps his scope: more than he needs nobody is told to give him. What no scope
 * allows he does without one.
 */
function toScopeOptions(scope: Admin['scope']): string {
  const sites = scope?.siteCodes.map((code) => ` --scope site=${code}`) ?? [];
  const groups = scope?.groupNames.map((name) => ` --scope group=${name}`) ?? [];
  return [...sites, ...groups].join('');
}
