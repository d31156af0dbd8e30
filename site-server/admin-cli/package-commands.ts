import { WaybillError } from '../../shared/domain/errors.ts';
import type { AdminAnswer, AdminRequest } from './admin-channel.ts';
import { type Command, command } from './command.ts';
import { CommandFailure } from './command-failure.ts';
import { confirmDeletion, type Deletion } from './confirm-deletion.ts';
import { lackingTargets, whenNoneLacks } from './lacking-targets.ts';
import { flag } from './options.ts';
import { whereItCounts } from './owner-site.ts';
import { previewUpdate } from './package-preview.ts';
import { type PackageRecord, toPackageRecord } from './package-record.ts';
import {
  createOptions,
  packageIdPositional,
  setOptions,
  toCreateRequest,
  toSetRequest,
} from './package-request.ts';
import { whenDeleted, whenHandled } from './package-wait.ts';
import type { Session } from './session.ts';
import { toByteText, toCountOf } from './units.ts';

const waitOption = {
  type: 'boolean',
  default: true,
  describe: 'Wait until the source has been read; --no-wait returns at once',
} as const;

/** Not given: the source is waited for, and no DP. */
const updateWaitOption = {
  type: 'boolean',
  describe:
    'Wait until every DP has the version, verified; --no-wait waits not even for the source',
} as const;

const createPackage = command({
  path: 'package create',
  summary: 'Define a package and take its first snapshot',
  example: 'waybill package create --name "Office 16" --source /srv/sources/office',
  options: (parser) => createOptions(parser).option('wait', waitOption),
  run: async (args, session) => {
    const wire = await created(session, await toCreateRequest(args));
    await tellSnapshot(session, toPackageRecord(wire), args.wait);
  },
});

const setPackage = command({
  path: 'package set',
  positionals: '<package-id>',
  summary: 'Change what is written about a package; its content stays',
  example: 'waybill package set PS100001 --priority high',
  options: setOptions,
  run: async (args, session) => {
    const { output } = session;
    const request = await toSetRequest(args);
    const set = ({ admin }: Session) => admin.ask('setPackage', request);
    const record = toPackageRecord(await whereItCounts(session, set));
    output.record(record);
    output.sentence(`Package ${record.packageId} (${record.name}) is changed.`);
  },
});

const updatePackage = command({
  path: 'package update',
  positionals: '<package-id>',
  summary: 'Read the source again and send what changed to every DP that has the package',
  example: 'waybill package update PS100001',
  options: (parser) =>
    parser
      .positional('package-id', packageIdPositional)
      .option('preview', flag('Say what would travel and how long that takes; publish nothing'))
      .option('wait', updateWaitOption),
  run: async ({ packageId, preview, wait }, session) => {
    if (preview) return previewUpdate(session, packageId);
    const wire = await session.admin.ask('updatePackage', { packageId });
    await tellUpdate(session, toPackageRecord(wire), wait);
  },
});

const deletePackage = command({
  path: 'package delete',
  positionals: '<package-id>',
  summary: 'Remove a package from the whole hierarchy',
  example: 'waybill package delete PS100001 --yes',
  options: (parser) =>
    parser
      .positional('package-id', packageIdPositional)
      .option('yes', { ...flag('Do not ask'), alias: 'y' })
      .option('wait', flag('Wait until it is off every DP')),
  run: async ({ packageId, yes, wait }, session) => {
    const effect = `package delete removes ${packageId} from every DP`;
    let places: string | undefined;
    const toDeletion = async () => {
      places = await placesOf(session, packageId);
      return deletionOf(packageId, places);
    };
    if (!yes) await confirmDeletion(session, effect, toDeletion);
    const ask = ({ admin }: Session) => admin.ask('deletePackage', { packageId });
    const accepted = toPackageRecord(await whereItCounts(session, ask));
    places ??= await placesOf(session, packageId);
    const record = wait ? await whenDeleted(session, accepted) : accepted;
    session.output.record(record);
    session.output.sentence(
      record.state === 'deleted'
        ? `Package ${packageId} is deleted.`
        : `Package ${packageId} is being deleted${places === '' ? '' : `, from ${places}`}.`,
    );
  },
});

/** `waybill package …` for definitions and snapshots. */
export const packageCommands: readonly Command[] = [
  createPackage,
  setPackage,
  updatePackage,
  deletePackage,
];

/** @throws CommandFailure of a source that the site cannot read, naming the site */
async function created(
  { admin, serverAddress }: Session,
  request: AdminRequest<'createPackage'>,
): Promise<AdminAnswer<'createPackage'>> {
  try {
    return await admin.ask('createPackage', request);
  } catch (error) {
    if (!(error instanceof WaybillError)) throw error;
    const { code } = error;
    if (code !== 'SOURCE_MISSING' && code !== 'SOURCE_UNREADABLE') throw error;
    const { siteCode } = await admin.ask('getSite', {});
    const { code: _, ...facts } = error.details;
    const message = `${error.message}. Site ${siteCode} at ${serverAddress} was asked; a package whose source is at another site is created there, with --server`;
    throw new CommandFailure(code, message, { ...facts, siteCode });
  }
}

async function tellSnapshot(
  session: Session,
  accepted: PackageRecord,
  wait: boolean,
): Promise<void> {
  const record = wait ? await whenHandled(session, accepted) : accepted;
  session.output.record(record);
  session.output.sentence(wait ? publishedSentence(record) : acceptedSentence(record));
}

/** @param wait for the DPs too; undefined: for the source alone; false: for nothing */
async function tellUpdate(
  session: Session,
  accepted: PackageRecord,
  wait: boolean | undefined,
): Promise<void> {
  const { output } = session;
  if (wait === false) {
    output.record(accepted);
    return output.sentence(acceptedSentence(accepted));
  }
  const record = await whenHandled(session, accepted);
  const lacking = await lackingTargets(session, record);
  output.sentence(updatedSentence(record, wait ? [] : lacking));
  if (wait && lacking.length > 0) {
    await whenNoneLacks(session, record, lacking);
    output.sentence(`Package ${record.packageId} is on, verified: ${lacking.join(', ')}.`);
  }
  output.record({ ...record, lackingDpIds: wait ? [] : lacking });
}

function acceptedSentence({ packageId }: PackageRecord): string {
  return `Package ${packageId} is accepted; its source will be read.`;
}

/** @param lacking DPs that do not have the version yet, and are not waited for */
function updatedSentence(record: PackageRecord, lacking: readonly string[]): string {
  const { packageId, sourceVersion, sourceUnchanged } = record;
  if (!sourceUnchanged) return publishedSentence(record);
  const unchanged = `The source of package ${packageId} is unchanged`;
  if (lacking.length === 0) return `${unchanged}: nothing to do, version ${sourceVersion} stays.`;
  const verb = lacking.length > 1 ? 'do' : 'does';
  const count = `${toCountOf(lacking.length, 'DP')} ${verb} not have it yet`;
  return `${unchanged}: version ${sourceVersion} stays. ${count}: waybill status ${packageId}`;
}

function publishedSentence({
  packageId,
  sourceVersion,
  fileCount,
  sizeBytes,
  counts,
}: PackageRecord) {
  const content = `${toCountOf(fileCount, 'file')}, ${toByteText(sizeBytes)}`;
  const next =
    counts.targeted > 0
      ? `It goes to ${toCountOf(counts.targeted, 'DP')}.`
      : `Next: waybill package distribute ${packageId} --all`;
  return `Package ${packageId} version ${sourceVersion} is published: ${content}. ${next}`;
}

/** Where it is, or is to be: `5 DPs of 2 sites`; empty when it is nowhere. */
async function placesOf({ admin }: Session, packageId: string): Promise<string> {
  const rows = await admin.list('listPackageStatus', { packageId });
  const targets = rows.filter(({ dpId }) => dpId !== '');
  if (targets.length === 0) return '';
  const sites = new Set(targets.map(({ siteCode }) => siteCode));
  return `${toCountOf(targets.length, 'DP')} of ${toCountOf(sites.size, 'site')}`;
}

function deletionOf(packageId: string, places: string): Deletion {
  const where = places === '' ? 'It is on no DP' : `It is taken off ${places}`;
  return {
    name: packageId,
    question: `Remove package ${packageId} from the whole hierarchy? ${where}. Type its ID to confirm: `,
    refusal: `Package ${packageId} was not deleted`,
    facts: { packageId },
  };
}
