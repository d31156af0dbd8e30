import { access, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { certificateRequestOf, newPrivateKey } from '../certificates/certificate-requests.ts';
import { syncDirectories } from '../content-library/file-system-sync.ts';
import { parseEnrollmentToken } from '../domain/enrollment-token.ts';
import { WaybillError } from '../domain/errors.ts';
import { holderOf } from '../domain/peer-identity.ts';
import type { Clock } from '../runtime/clock.ts';
import { type Enrolled, type Enrolling, enrolled } from './enrolling.ts';
import type { HeldCertificate, IdentityPlace } from './identity-place.ts';

/** Who is to be enrolled, and what is to be there afterwards. */
export interface AgentEnrollment extends Omit<Enrolling, 'token'> {
  readonly place: IdentityPlace;
  /** Where its configuration is, or will be. */
  readonly configPath: string;
  /** Enrolls it anew, though it has a certificate of the same name. */
  readonly isForced: boolean;
  /** The configuration for what was given. */
  readonly configText: (given: Enrolled) => string;
  /** Makes sure that a configuration that is there already is of the same one. @throws ALREADY_ENROLLED, CONFIG_INVALID */
  readonly checkConfig: () => Promise<void>;
}

/** What enrolling somebody on this machine needs. */
export interface AgentEnrollmentNeeds {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly signal: AbortSignal;
  /** Asks for the token; called only when there is something to enroll. */
  readonly readToken: () => Promise<string>;
}

/** What came of it. */
export interface EnrollmentEnd {
  /** False: it was enrolled before. */
  readonly isNew: boolean;
  readonly notAfterMs: number;
}

/**
 * Enrolls an agent, or an administrator, on this machine: certificate, roots and configuration, each written
 * whole, the certificate last. Killed at any moment it leaves something with which the same command goes
 * on: the same key for the same token, the configuration it wrote, or all of it. `place.finish()` is the caller's to call, once
 * what it wanted besides is done.
 *
 * @throws ALREADY_ENROLLED for another name, or when there is something that would be written over
 * @throws what `enrolled` throws; the system's failure when something cannot be written
 */
export async function enrollAgent(
  needs: AgentEnrollmentNeeds,
  asked: AgentEnrollment,
): Promise<EnrollmentEnd> {
  const { place, configPath } = asked;
  const hasConfig = await isThere(configPath);
  if (hasConfig) await asked.checkConfig();
  const held = await place.held();
  const before = enrolledBefore(asked, held, hasConfig);
  if (before) return before;
  const { clock, signal, readToken } = needs;
  const token = await readToken();
  // Of a text that is no token nothing more is done.
  const { tokenId = '' } = parseEnrollmentToken(token).token ?? {};
  // Killed when all was written: this very token was used for it.
  if (held?.tokenId === tokenId && hasConfig) return { isNew: true, notAfterMs: held.notAfterMs };
  const key = () => place.keyToAskWith(newPrivateKey, { tokenId, isAnew: asked.isForced });
  const asking = { clock, signal, key, certificateRequestOf };
  const given = await enrolled(asking, { ...asked, token });
  await place.writeRoots(given);
  // A configuration that stays says where the site was; it may be where a thief of its keys answers.
  await place.restartRenewingAt(hasConfig ? given.place.enrollmentAddress : '');
  if (!hasConfig) await writeConfig(configPath, asked.configText(given));
  // Of the certificate before: somebody may have copied it.
  await place.renewalKey.forget();
  await place.writeCredentials(given);
  return { isNew: true, notAfterMs: given.notAfterMs };
}

/**
 * Whether there is nothing left to do, whatever the token. Of whoever is to be enrolled anew the token says it: what
 * came to its end without `place.finish()` may be an enrollment by another one, which is not what was asked for.
 *
 * @throws ALREADY_ENROLLED when something else is there
 */
function enrolledBefore(
  { identity, place, configPath, isForced }: AgentEnrollment,
  held: HeldCertificate | undefined,
  hasConfig: boolean,
): EnrollmentEnd | undefined {
  if (!held) return undefined;
  const { holder = 'somebody else', notAfterMs, isNew } = held;
  const path = place.credentialFile;
  if (holder !== holderOf(identity)) {
    const reason = `it is the certificate of ${holder}. For ${holderOf(identity)} name another data directory`;
    throw new WaybillError({ code: 'ALREADY_ENROLLED', path, reason });
  }
  if (isForced || (isNew && !hasConfig)) return undefined;
  if (hasConfig) return { isNew, notAfterMs };
  const reason = `it is the certificate of ${holder}, but its configuration ${configPath} is not there. Put that back, or have a new token made and enroll it anew with --force`;
  throw new WaybillError({ code: 'ALREADY_ENROLLED', path, reason });
}

/** Whole, or not at all: what a crash has left of it is not taken for a configuration. */
async function writeConfig(path: string, text: string): Promise<void> {
  const directory = dirname(path);
  await mkdir(directory, { recursive: true });
  const unfinished = `${path}.new`;
  await rm(unfinished, { force: true });
  {
    await using file = await open(unfinished, 'wx', 0o644);
    // The program may run as another user; nothing in it is secret.
    await file.chmod(0o644);
    await file.writeFile(text);
    await file.sync();
  }
  await rename(unfinished, path);
  await syncDirectories(directory, [directory]);
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
