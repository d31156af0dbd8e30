import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readSecretFile } from '../../shared/certificates/secret-files.ts';
import { signTrustBundle, type TrustBundle } from '../../shared/certificates/trust-bundle.ts';
import { fromRootsFileText } from '../../shared/certificates/trusted-roots.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { toMomentText } from '../../shared/domain/moment-text.ts';
import { DirectoryLock } from '../../shared/state-store/directory-lock.ts';
import { type AuthoritySettings, hoursToMs } from './authority-config.ts';
import { readBundle, writeBundle } from './authority-files.ts';
import { newRoot } from './authority-making.ts';
import { clockDoubtOf } from './clock-doubt.ts';
import {
  readPassphrase,
  readRootKey,
  rootKeyFileOf,
  rootKeyName,
  writeRootKey,
} from './root-keys.ts';
import { readStandingReport, toStandingLines } from './standing-report.ts';

/** Where the root is changed, and by which rules. */
export interface RootChange {
  /** `<data>/authority` of the top site. */
  readonly directory: string;
  /** Which roots that site trusts: `roots.crt`. */
  readonly rootsFile: string;
  /** The site's own key and certificate, `agent.pem`; undefined where somebody else keeps them. */
  readonly agentFile: string | undefined;
  readonly siteCode: string;
  readonly settings: AuthoritySettings;
  readonly nowMs: number;
}

/** How long all sites have, after the overlap, to hear of it and change. */
const settlingMs = 60 * 60_000;

/**
 * Makes a new root beside the one there is. The site server publishes both, whether it runs or is started later;
 * sites stand on the new one after the overlap. The trust bundle is the moment of the change: a crash before
 * it leaves the old root, and perhaps a key that signed nothing, which the next change removes.
 *
 * @param options.isForced also by a clock that is wrong, as far as what it has signed tells; two roots that were
 *   signed in the future by such a clock are signed again, with the time of now
 * @throws AUTHORITY_CONFLICT when this is not the top, a root is being replaced already, or the clock may be wrong;
 *   CERTIFICATE_INVALID when the root's key cannot be read
 */
export function rotateRoot(
  change: RootChange,
  options: { readonly isForced: boolean } = { isForced: false },
): Promise<TrustBundle> {
  return whileLocked(change, async (before) => {
    const isReplaced = before.roots.length > 1;
    if (isReplaced && before.signedAtMs <= change.nowMs) {
      throw conflict(
        change.directory,
        'the root is being replaced already; end that first, with "waybill-site retire-root"',
      );
    }
    if (!options.isForced) await requireRightClock(change, before);
    return isReplaced ? signNext(change, before, before.roots) : addRoot(change, before);
  });
}

async function addRoot(change: RootChange, before: TrustBundle): Promise<TrustBundle> {
  const { directory, siteCode, nowMs, settings } = change;
  const [oldPem = ''] = before.roots;
  const old = await readRootKey(directory, oldPem, settings.rootPassphraseFile);
  const generation = before.generation + 1;
  const root = await newRoot(siteCode, generation, { nowMs, days: settings.rootDays }, oldPem);
  const passphrase = await passphraseAsOf(directory, oldPem, settings);
  await writeRootKey(directory, root, { passphrase });
  const facts = { generation, roots: [root.certificate, oldPem], signedAtMs: nowMs };
  return write(change, signTrustBundle(facts, [old, root]));
}

/**
 * From now on the root before the newest one counts for nothing, anywhere; its key is deleted. A crash before
 * the trust bundle leaves both; after it, a key that nobody trusts, which the next change removes.
 *
 * @param options.isForced also before all sites had the time to change, and though somebody still stands on it
 * @throws AUTHORITY_CONFLICT when there is only one root, it is too early, somebody would be cut off, or nobody
 *   knows whether, or the clock may be wrong; CERTIFICATE_INVALID
 */
export function retireRoot(
  change: RootChange,
  options: { readonly isForced: boolean },
): Promise<RetiredRoot> {
  return whileLocked(change, async (before) => {
    const { directory, nowMs, settings } = change;
    const [newestPem = '', ...others] = before.roots;
    if (others.length === 0) {
      throw conflict(
        directory,
        'there is only one root; "waybill-site rotate-root" makes a new one',
      );
    }
    const standing = toStandingLines(
      await readStandingReport(directory, { generation: before.generation, nowMs }),
    );
    const readyMs = before.signedAtMs + hoursToMs(settings.rootOverlapHours) + settlingMs;
    if (!options.isForced) {
      await requireRightClock(change, before);
      requireNobodyCutOff({ directory, nowMs, readyMs, standing });
    }
    return { bundle: await signNext(change, before, [newestPem]), standing };
  });
}

/** What became of it. */
export interface RetiredRoot {
  readonly bundle: TrustBundle;
  /** Who still stood on the root that was retired, in lines for people; none: nobody. */
  readonly standing: readonly string[];
}

/** Signed by all that counted before: whoever missed the bundle between takes this one all the same. */
async function signNext(
  change: RootChange,
  before: TrustBundle,
  roots: readonly string[],
): Promise<TrustBundle> {
  const { directory, settings, nowMs } = change;
  const signers = await Promise.all(
    before.roots.map((pem) => readRootKey(directory, pem, settings.rootPassphraseFile)),
  );
  const facts = { generation: before.generation + 1, roots, signedAtMs: nowMs };
  return write(change, signTrustBundle(facts, signers));
}

async function requireRightClock(change: RootChange, before: TrustBundle): Promise<void> {
  const doubt = await clockDoubtOf(change, before);
  if (doubt !== undefined) throw conflict(change.directory, doubt);
}

function requireNobodyCutOff(facts: {
  readonly directory: string;
  readonly nowMs: number;
  readonly readyMs: number;
  readonly standing: readonly string[];
}): void {
  const { directory, nowMs, readyMs, standing } = facts;
  if (nowMs >= readyMs && standing.length === 0) return;
  const when = toMomentText(readyMs);
  const why =
    nowMs < readyMs
      ? `sites stand on the old root until ${when}; wait until then`
      : 'who still stands on the old root would be cut off; wait until nobody does';
  const reason = `${why} and see "waybill certs", or, when the old key was stolen, add --force`;
  throw conflict(directory, [reason, ...standing].join('\n').replace(/\.$/, ''));
}

async function whileLocked<T>(
  change: RootChange,
  work: (before: TrustBundle) => Promise<T>,
): Promise<T> {
  const { directory, rootsFile } = change;
  const lock = await DirectoryLock.take(directory);
  try {
    const before = await readBundle(directory);
    if (!before) throw conflict(directory, 'only the top site has the root, and this is none');
    await requireNewest(before, directory, rootsFile);
    await removeStrayKeys(directory, before);
    return await work(before);
  } finally {
    await lock.release();
  }
}

async function write({ directory }: RootChange, bundle: TrustBundle): Promise<TrustBundle> {
  await writeBundle(directory, bundle);
  await removeStrayKeys(directory, bundle);
  return bundle;
}

/** A directory that was restored from an old backup may not know of a root that everybody trusts since. */
async function requireNewest(bundle: TrustBundle, directory: string, rootsFile: string) {
  const { generation } = fromRootsFileText(await readFile(rootsFile, 'latin1'));
  if (generation <= bundle.generation) return;
  throw conflict(
    directory,
    `it knows the roots of generation ${bundle.generation}, and this site trusts those of generation ${generation}: it is from a backup before that change; restore a newer one`,
  );
}

/** The new key is as secret as the old one. */
async function passphraseAsOf(
  directory: string,
  rootPem: string,
  { rootPassphraseFile }: AuthoritySettings,
): Promise<string | undefined> {
  const text = (await readSecretFile(join(directory, rootKeyFileOf(rootPem)))) ?? '';
  const isEncrypted = text.includes('BEGIN ENCRYPTED PRIVATE KEY');
  return isEncrypted && rootPassphraseFile !== undefined
    ? readPassphrase(rootPassphraseFile)
    : undefined;
}

/** Keys of roots that nobody trusts, or not yet: what is not there cannot be stolen. */
async function removeStrayKeys(directory: string, { roots }: TrustBundle): Promise<void> {
  const kept = new Set(roots.map(rootKeyFileOf));
  for (const name of await readdir(directory)) {
    if (rootKeyName.test(name) && !kept.has(name)) await rm(join(directory, name));
  }
}

function conflict(path: string, reason: string): WaybillError {
  return new WaybillError({ code: 'AUTHORITY_CONFLICT', path, reason });
}
