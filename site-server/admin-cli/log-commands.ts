import { isAbortError } from '../../shared/runtime/abort-error.ts';
import { toLogJson, toLogText } from '../../shared/runtime/log-text.ts';
import { type Command, command } from './command.ts';
import { UsageError } from './command-failure.ts';
import {
  countText,
  flag,
  option,
  optionalPositional,
  siteToAskOption,
  someText,
} from './options.ts';
import type { Session } from './session.ts';

const linesDefault = 100;

const readLogs = command({
  path: 'logs',
  positionals: '[component]',
  summary: "A component's log; without a component, the names of the logs",
  example: 'waybill logs pkgxfermgr --lines 50 --follow',
  options: (parser) =>
    parser
      .positional(
        'component',
        optionalPositional('component', 'Such as distmgr or pkgxfermgr', someText),
      )
      .option('lines', option('lines', `The last so many; ${linesDefault} unless told`, countText))
      .option('follow', { ...flag('Go on with new lines until Ctrl-C'), alias: 'f' })
      .option('site', siteToAskOption),
  run: async ({ component, lines = linesDefault, follow, site }, connected) => {
    const session = await connected.atSite(site);
    if (component === undefined) {
      if (follow)
        throw new UsageError('--follow: expected the component to follow, such as distmgr');
      return listLogs(session);
    }
    return follow
      ? followLog(session, { component, lines })
      : readLog(session, { component, lines });
  },
});

/** `waybill logs`. */
export const logCommands: readonly Command[] = [readLogs];

async function listLogs({ admin, output }: Session): Promise<void> {
  const lines = await admin.list('readLog', { component: '', lines: 0, follow: false });
  const components = lines.map(({ line }) => line);
  output.record(components);
  for (const component of components) output.sentence(component);
}

async function readLog(
  session: Session,
  { component, lines }: { component: string; lines: number },
): Promise<void> {
  const request = { component, lines, follow: false };
  for await (const { line } of session.admin.stream('readLog', request)) tellLine(session, line);
}

async function followLog(
  session: Session,
  { component, lines }: { component: string; lines: number },
): Promise<void> {
  const { admin, output, serverAddress } = session;
  await admin.ask('getSite', {});
  const told = new ToldLines();
  let request = { component, lines, follow: true };
  try {
    for await (const event of admin.watch('readLog', () => request)) {
      if (event.kind === 'change') {
        if (told.isNew(event.item.line)) tellLine(session, event.item.line);
      } else if (event.kind === 'lost') {
        output.note(`the site server at ${serverAddress} went away; waiting for it`);
      } else {
        request = { component, lines: toldLinesMax, follow: true };
        told.expectAgain();
      }
    }
  } catch (error) {
    // Ctrl-C is how following is meant to end.
    if (!session.signal.aborted || !isAbortError(error)) throw error;
  }
}

/** After a restart of the site server so many of the newest lines are read again. */
const toldLinesMax = 1_000;

/** The lines that were told last, so that none is told twice when they come again. */
class ToldLines {
  readonly #lines: string[] = [];
  #again = new Set<string>();

  /** Lines told so far may come once more. */
  expectAgain(): void {
    this.#again = new Set(this.#lines);
  }

  /** Whether the line is to be told now. */
  isNew(line: string): boolean {
    if (this.#again.delete(line)) return false;
    this.#lines.push(line);
    if (this.#lines.length > toldLinesMax) this.#lines.shift();
    return true;
  }
}

function tellLine({ output, timeZone }: Session, line: string): void {
  output.jsonLine(toLogJson(line));
  output.line(toLogText(line, { timeZone, paint: output.paint }));
}
