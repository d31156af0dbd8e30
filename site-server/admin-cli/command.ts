import type { ArgumentsCamelCase, Argv } from 'yargs';
import type { ConnectionFlags } from './connection.ts';
import type { OwnEnrollment, OwnEnrollmentEnd } from './enroll-commands.ts';
import type { Output } from './output.ts';
import type { Session } from './session.ts';

/** What may be given with every command. */
export interface GlobalArguments extends ConnectionFlags {
  readonly json: boolean;
}

/** What a command works with that asks no site server: there may be none to ask yet. */
export interface AloneSession {
  readonly output: Output;
  /** IANA name; undefined: the zone of this machine. */
  readonly timeZone: string | undefined;
  /** Enrolls whoever uses this program, with a token from standard input. */
  readonly enrollHere: (enrollment: OwnEnrollment) => Promise<OwnEnrollmentEnd>;
}

/** A command that was asked for, with its arguments. */
export type Chosen = { readonly connection: GlobalArguments } & (
  | { readonly run: (session: Session) => Promise<void> }
  | { readonly runAlone: (session: AloneSession) => Promise<void> }
);

/** One command of `waybill`. */
export interface Command {
  /** Its words, such as `package create`. */
  readonly path: string;
  /** Words that follow, such as `<package-id>`. */
  readonly positionals: string;
  readonly isDefault: boolean;
  readonly summary: string;
  /** A whole line that works, such as `waybill package list`. */
  readonly example: string;
  /** The names of its own options, without dashes. */
  optionNames(): readonly string[];
  /** Adds the command to the parser, which calls `choose` when it is asked for. */
  addTo(parser: Argv<GlobalArguments>, choose: (chosen: Chosen) => void): void;
}

/** A command as it is written down. */
export type CommandDefinition<A> = CommandWords<A> &
  (
    | { run(args: ArgumentsCamelCase<A>, session: Session): Promise<void> }
    | { runAlone(args: ArgumentsCamelCase<A>, session: AloneSession): Promise<void> }
  );

interface CommandWords<A> {
  /** Word of the group and of the command, such as `package create`, or one word. */
  readonly path: string;
  /** Words that follow, such as `<package-id>`. */
  readonly positionals?: string;
  /** Runs when only the group's word is given. */
  readonly isDefault?: boolean;
  readonly summary: string;
  readonly example: string;
  options(parser: Argv<GlobalArguments>): Argv<A>;
}

/** A command; its arguments have the types its options give them. */
export function command<A extends GlobalArguments>(definition: CommandDefinition<A>): Command {
  const { path, summary, example, positionals = '', isDefault = false } = definition;
  const word = path.split(' ').at(-1) ?? path;
  const usage = `${word} ${positionals}`.trim();
  const usages = isDefault ? [usage, '$0'] : [usage];
  return {
    path,
    positionals,
    isDefault,
    summary,
    example,
    optionNames: () => optionNamesOf(definition.options),
    addTo(parser, choose) {
      parser.command(
        usages,
        summary,
        (inner: Argv<GlobalArguments>) => definition.options(inner).example([[example, '']]),
        (args) => choose({ connection: args, ...toRun(definition, args) }),
      );
    },
  };
}

function toRun<A>(definition: CommandDefinition<A>, args: ArgumentsCamelCase<A>) {
  return 'run' in definition
    ? { run: (session: Session) => definition.run(args, session) }
    : { runAlone: (session: AloneSession) => definition.runAlone(args, session) };
}

/** What is told to the parser, heard by somebody who only listens. */
function optionNamesOf(options: (parser: Argv<GlobalArguments>) => unknown): string[] {
  const names: string[] = [];
  const listener: unknown = new Proxy(
    {},
    {
      get: (_, method) => (name: unknown) => {
        if (method === 'option' && typeof name === 'string') names.push(name);
        return listener;
      },
    },
  );
  options(listener as Argv<GlobalArguments>);
  return names;
}
