/** The wiring of what gives certificates: tokens, enrollment and renewal, on a port of their own. */
import { randomBytes } from 'node:crypto';
import { readCertificateRequest } from '../shared/certificates/certificate-requests.ts';
import { rootKeyIdOf } from '../shared/certificates/trust-bundle.ts';
import type { IssuedCertificateRecord } from '../shared/domain/issued-certificate.ts';
import { fromIdentityUri } from '../shared/domain/peer-identity.ts';
import type { Conversation } from '../shared/rpc/conversation.ts';
import { EnrollmentServer } from '../shared/rpc/enrollment-server.ts';
import type { Component } from '../shared/runtime/component.ts';
import { requireOwnPoint } from './admin-service/distribution-point-answers.ts';
import type { SiteCommands } from './admin-service/site-commands.ts';
import { shownAuthority } from './certificate-authority/site-authority-certificate.ts';
import type { SiteAuthorityRows } from './certificate-authority/site-authority-rows.ts';
import { AddressPace } from './enrollment/address-pace.ts';
import { Administrators } from './enrollment/administrators.ts';
import { EnrolledHolders } from './enrollment/enrolled-holders.ts';
import { Enrollment } from './enrollment/enrollment.ts';
import type { EnrollmentRevocations } from './enrollment/enrollment-authority.ts';
import { EnrollmentCommands } from './enrollment/enrollment-commands.ts';
import { EnrollmentTokens } from './enrollment/enrollment-tokens.ts';
import { LastAdministrator } from './enrollment/last-administrator.ts';
import { ParentEnrollment } from './enrollment/parent-enrollment.ts';
import { PassingTurns } from './enrollment/passing-turns.ts';
import { Renewals } from './enrollment/renewals.ts';
import { isNeighbour } from './replication-manager/neighbour.ts';
import { revocationsOf } from './revocations/revocation-rows.ts';
import type { Ground } from './site-ground.ts';

/** How far clocks may be off when a certificate is to be followed. */
const skewMs = 5 * 60_000;

/** What is made of it. */
export interface SiteEnrollment {
  readonly commands: EnrollmentCommands;
  /** Answers neighbours that pass something on. */
  readonly passedOn: Conversation<'SiteEnrollment'>;
  /** Start after the main server; before it whoever was enrolled earlier is known. */
  readonly components: readonly Component[];
}

/** Makes it; undefined at a site that has no authority. */
export function siteEnrollment(
  ground: Ground,
  others: {
    readonly siteCommands: Pick<SiteCommands, 'set'>;
    readonly lastAdministrator: LastAdministrator;
    /** Which authorities the top has signed. */
    readonly siteAuthorityRows: Pick<SiteAuthorityRows, 'authorityOf'> | undefined;
  },
): SiteEnrollment | undefined {
  const { auditTrail, clock, config, siteAddress, sites } = ground;
  const { authority, issued } = ground.siteAuthority;
  if (!authority) return undefined;
  const { siteCommands, siteAuthorityRows: rows, lastAdministrator } = others;
  const revocations = enrollmentRevocations(ground);
  const { listen, address, renewalGraceMs } = config.enrollment;
  const enrollmentAddress = () => address ?? portAt(siteAddress(), server.address);
  const administrators = new Administrators(ground);
  const holders = new EnrolledHolders({
    ...{ ...ground, administrators },
    setSiteAddress: (siteCode, at) => siteCommands.set({ siteCode, address: at }),
  });
  const tokens = new EnrollmentTokens({ ...ground, randomBytes });
  const readKey = async (request: Uint8Array) => (await readCertificateRequest(request)).publicKey;
  const roots = () => authority.roots();
  const authorityOf = (code: string) => shownAuthority(sites.identityOf(code), { roots: roots() });
  const signedAuthorityOf = (code: string) => rows?.authorityOf(code);
  const known = { authority, authorityOf, signedAuthorityOf, revocations, administrators };
  const needs = { ...ground, ...known, holders, tokens, readKey };
  const renewals = new Renewals(needs, { renewalGraceMs, skewMs });
  const { parent } = sites.own;
  const enrollment = new Enrollment({
    ...{ ...needs, renewals, enrollmentAddress },
    parent: authority.isTop || !parent ? undefined : new ParentEnrollment(ground, parent),
    isNeighbour: (siteCode) => isNeighbour(siteCode, sites),
    pace: new AddressPace(clock),
    turns: new PassingTurns(clock),
    onAudit: (event) => auditTrail.record(event),
  });
  const server = new EnrollmentServer(
    {
      credentials: ground.credentials,
      roots: () => authority.roots(),
      answers: enrollment.answers(),
      onAudit: (event) => auditTrail.record(event),
      logger: ground.logOf('enrollment'),
    },
    { address: listen },
  );
  const requireOwn = (dpId: string) => requireOwnPoint(ground, dpId);
  const { groups } = ground.hierarchyPackages.groups;
  const hasGroup = async (name: string) => (await groups.get(name)) !== undefined;
  const hadCertificate = async (holder: string) =>
    ground.revocations.heardByIssuer(holder) !== undefined || (await issued.hasOf(holder));
  const there = { requireOwnPoint: requireOwn, hasGroup, hadCertificate };
  const commands = new EnrollmentCommands(
    { ...needs, ...there, lastAdministrator, enrollmentAddress },
    config.enrollment,
  );
  const components = [earlierOnes(administrators, () => issued.list()), server];
  return { commands, passedOn: enrollment.passedOn(), components };
}

/** Knows whether somebody is left; at a site without an authority it knows of nobody but who asks. */
export function lastAdministrator(ground: Ground): LastAdministrator {
  const { authority, issued } = ground.siteAuthority;
  const roots = () => authority?.roots() ?? [];
  return new LastAdministrator({
    ...{ ...ground, issued, administrators: new Administrators(ground) },
    rootKeyIds: () => roots().map((pem) => rootKeyIdOf(pem)),
  });
}

function enrollmentRevocations(ground: Ground): EnrollmentRevocations {
  const { trust } = ground.revocations;
  return {
    // That it has expired is for the grace period to say.
    isRevoked: (peer) => trust.revocationOf(peer) !== undefined,
    revoked: async (holder, why) => (await revocationsOf(ground, [holder], why)).changes,
  };
}

/** Administrators who were given a certificate before there was a table of them. */
function earlierOnes(
  administrators: Administrators,
  issued: () => AsyncIterable<Pick<IssuedCertificateRecord, 'identityUri' | 'issuedAtMs'>>,
): Component {
  return {
    start: async () => {
      for await (const { identityUri, issuedAtMs } of issued()) {
        const identity = fromIdentityUri(identityUri);
        if (identity?.kind === 'admin') await administrators.wasEnrolled(identity, issuedAtMs);
      }
    },
    stop: async () => {},
  };
}

/** The host of one address with the port of another. */
function portAt(hostAddress: string, portAddress: string): string {
  return hostAddress.replace(/:\d+$/, '') + (/:\d+$/.exec(portAddress)?.[0] ?? '');
}
