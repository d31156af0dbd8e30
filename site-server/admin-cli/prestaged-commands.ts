import { toMomentText } from '../../shared/domain/certificate-life.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { AdminAnswer } from './admin-channel.ts';
import { type Command, command } from './command.ts';
import { CommandFailure } from './command-failure.ts';
import { showWhile } from './display.ts';
import { flag, option, positional, sitePathText, siteToAskOption, versionText } from './options.ts';
import { packageIdPositional } from './package-request.ts';
import { PrestagedView } from './prestaged-view.ts';
import type { Session } from './session.ts';
import { toByteText } from './units.ts';

const exportPackage = command({
  path: 'package export',
  positionals: '<package-id>',
  summary: 'Write a package to one signed file, to be carried where the line is thin',
  example: 'waybill package export PS100001 --to /media/usb/office.wbp',
  options: (parser) =>
    parser
      .positional('package-id', packageIdPositional)
      .option('to', {
        ...option('to', 'File to write on the site server', sitePathText),
        demandOption: true as const,
      })
      .option(
        'since',
        option('since', 'Only what changed since this version, for who has it', versionText),
      )
      .option('force', flag('Replace the file when there is one'))
      .option('site', siteToAskOption),
  run: async (
    { packageId, to: path, since: baseVersion = 0, force: overwrite, site },
    connected,
  ) => {
    const session = await connected.atSite(site);
    const request = { packageId, path, baseVersion, overwrite };
    const last = await followed(session, {
      steps: session.admin.follow('exportPackage', request),
      first: `Package ${packageId}: packing`,
      toText: () => `Package ${packageId}: packing`,
    });
    if (!last?.result) throw new Error('The site server did not say what came of the export');
    const { siteCode } = await session.admin.ask('getSite', {});
    const { result } = last;
    const { sourceVersion } = result;
    const [fileBytes, fileHash] = [Number(result.fileBytes), result.fileHash.toString('hex')];
    session.output.record({ packageId, path, sourceVersion, baseVersion, fileBytes, fileHash });
    const what = baseVersion > 0 ? `, what changed since version ${baseVersion},` : '';
    session.output.sentence(
      `Package ${packageId} version ${sourceVersion}${what} is in ${path} on the server of site ${siteCode}: ${toByteText(fileBytes)}.`,
    );
    session.output.sentence(
      'Next, where it is to be: waybill package import, or waybill-dp import',
    );
  },
});

const importPackage = command({
  path: 'package import',
  positionals: '<file>',
  summary: 'Store what an exported file holds at this site, instead of having it sent',
  example: 'waybill package import /media/usb/office.wbp',
  options: (parser) =>
    parser
      .positional('file', positional('file', 'File on the site server', sitePathText))
      .option('site', siteToAskOption),
  run: async ({ file: path, site }, connected) => {
    const session = await connected.atSite(site);
    const last = await followed(session, {
      steps: session.admin.follow('importPackage', { path }),
      first: `${path}: being checked`,
      toText: ({ packageId, sourceVersion, stage }) =>
        `Package ${packageId} v${sourceVersion}: ${stage === 'IMPORT_STAGE_UNPACKING' ? 'unpacking' : 'copying'}`,
    });
    if (!last) throw new Error('The site server did not say what came of the import');
    const { siteCode } = await session.admin.ask('getSite', {});
    tellImport(session, { path, at: siteCode }, last);
  },
});

/** `waybill package …` for files that are carried. */
export const prestagedCommands: readonly Command[] = [exportPackage, importPackage];

/** What `--json` calls the ends of an import. */
const stateNames: Readonly<Record<string, string>> = {
  IMPORT_STAGE_STORED: 'stored',
  IMPORT_STAGE_STORED_BEFORE: 'stored-before',
  IMPORT_STAGE_WAITING: 'waiting',
};

function tellImport(
  { output }: Session,
  { path, at }: { readonly path: string; readonly at: string },
  last: AdminAnswer<'importPackage'>,
): void {
  const { packageId, sourceVersion, baseVersion, siteCode, stage, reason } = last;
  const state = stateNames[stage] ?? 'unknown';
  const keptUntilMs = Number(last.keptUntilMs);
  const facts = { packageId, path, sourceVersion, baseVersion, siteCode, state, reason };
  output.record({ ...facts, keptUntilMs });
  const name = `Package ${packageId} version ${sourceVersion}`;
  const day = toMomentText(keptUntilMs).slice(0, 10);
  if (stage === 'IMPORT_STAGE_WAITING') {
    output.sentence(`${name} is at site ${at} and waits: ${reason}. It goes on by itself.`);
  } else {
    const before = stage === 'IMPORT_STAGE_STORED_BEFORE' ? 'was stored before' : 'is stored';
    output.sentence(`${name} ${before} at site ${at}: nothing of it has to be sent there.`);
  }
  output.sentence(`It stays while a DP of site ${at} is to have it, and until ${day} in any case.`);
}

/** Shows the steps of work at the site server. @returns the last of them */
async function followed<Step extends { readonly doneBytes: string; readonly totalBytes: string }>(
  session: Session,
  work: {
    readonly steps: AsyncIterable<Step>;
    readonly first: string;
    readonly toText: (step: Step) => string;
  },
): Promise<Step | undefined> {
  const { output, clock } = session;
  const view = new PrestagedView({ clock, paint: output.paint, first: work.first });
  try {
    return await showWhile(session, { view, keep: false }, async (changed) => {
      let last: Step | undefined;
      for await (const step of work.steps) {
        last = step;
        const [doneBytes, totalBytes] = [Number(step.doneBytes), Number(step.totalBytes)];
        view.apply({ text: work.toText(step), doneBytes, totalBytes });
        changed();
      }
      return last;
    });
  } catch (error) {
    throw toRoomFailure(error);
  }
}

/** Nothing of this goes on by itself once there is room. */
function toRoomFailure(error: unknown): unknown {
  if (!(error instanceof WaybillError) || error.details.code !== 'DISK_FULL') return error;
  const { path, freeBytes, neededBytes } = error.details;
  const room = `has ${toByteText(freeBytes)} free; ${toByteText(neededBytes)} are needed`;
  const message = `${path} ${room}. Nothing was left there: make room and ask again`;
  return new CommandFailure('NO_ROOM', message, { path, freeBytes, neededBytes });
}
