/** One block of commands of a page. */
export interface PageBlock {
  /** The machine it is for, such as `ps1`. */
  readonly machine: string;
  /** Who gives the commands there. */
  readonly user: string;
  /** All of it, as a shell reads it; undefined: what the last block has printed to be run here. */
  readonly commands: string | undefined;
  /** Line of the page on which it begins. */
  readonly line: number;
}

const heading = /^# on ([a-z0-9-]+)(?:, as ([a-z]+))?\b/;
const printed = /^<!-- the printed line, on ([a-z0-9-]+)(?:, as ([a-z]+))? -->$/;

/**
 * The commands of a page, in order: blocks of `sh` whose first line says where they are given, such as
 * `# on ps1, as alice`; without a user as root. A command that is printed for somebody else to run is
 * marked by a comment of the page, `<!-- the printed line, on ps1dp1 -->`.
 */
export function pageCommands(page: string): PageBlock[] {
  const blocks: PageBlock[] = [];
  const lines = page.split('\n');
  for (let index = 0; index < lines.length; index++) {
    const passed = printed.exec(lines[index] ?? '');
    if (passed) blocks.push({ ...whoOf(passed), commands: undefined, line: index + 1 });
    if (lines[index] !== '```sh') continue;
    const end = lines.indexOf('```', index);
    const found = heading.exec(lines[index + 1] ?? '');
    if (found) {
      const commands = lines.slice(index + 2, end).join('\n');
      blocks.push({ ...whoOf(found), commands, line: index + 1 });
    }
    index = end;
  }
  return blocks;
}

function whoOf([, machine = '', user = 'root']: readonly (string | undefined)[]) {
  return { machine, user };
}

/**
 * What an output says is to be run elsewhere, as a shell reads it that nobody sits at: the command, and the token
 * that it asks for.
 *
 * @throws when there is none
 */
export function printedCommand(output: string): string {
  const text = output.replaceAll(/ \\\n */g, ' ');
  const [, command] = /^ {2}(.*\benroll .*)$/m.exec(text) ?? [];
  const [token] = /^wbt1_[\w-]+$/m.exec(text) ?? [];
  if (command === undefined || token === undefined) {
    throw new Error(`no command was printed:\n${output}`);
  }
  return `${command} <<'END'\n${token}\nEND`;
}
