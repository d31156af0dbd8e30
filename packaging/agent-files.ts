import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** An agent that runs as a service, as far as its package goes. */
export interface AgentService {
  /** Of the package, the program, the service and its user. */
  readonly name: 'waybill-site' | 'waybill-dp';
  readonly title: string;
  readonly configuration: string;
  /** What begins the names of its variables. */
  readonly variable: string;
  /** Which commands write its configuration. */
  readonly writers: string;
  /** What it reads besides its own state. */
  readonly reads: string;
  /** Its ProtectHome. */
  readonly home: 'yes' | 'read-only';
  /** What is in its directory. */
  readonly holds: string;
}

export const agentServices: readonly AgentService[] = [
  {
    name: 'waybill-site',
    title: 'Waybill site server',
    configuration: '/etc/waybill/site.yaml',
    variable: 'WAYBILL_SITE_',
    writers: '"waybill-site init" or "waybill-site enroll"',
    reads: 'sources of packages may be anywhere that its user can read',
    home: 'read-only',
    holds: 'content, history, identity and, at the top site, the authority of the hierarchy',
  },
  {
    name: 'waybill-dp',
    title: 'Waybill distribution point',
    configuration: '/etc/waybill/dp.yaml',
    variable: 'WAYBILL_DP_',
    writers: '"waybill-dp enroll"',
    reads: 'it reads what is carried to it by hand',
    home: 'yes',
    holds: 'content and identity',
  },
];

/** The files that agents have in common but for their words. */
export interface AgentFiles {
  readonly unit: string;
  readonly sysusers: string;
  readonly defaults: string;
  readonly lintianOverrides: string;
  readonly scripts: Readonly<Record<'postinst' | 'prerm' | 'postrm', string>>;
}

/** @param directory the one with the templates, `agent.*`; `@name@` stands for the agent's name there */
export async function agentFiles(directory: string, service: AgentService): Promise<AgentFiles> {
  const read = async (extension: string) =>
    filledIn(await readFile(join(directory, `agent.${extension}`), 'utf8'), { ...service });
  return {
    unit: await read('service'),
    sysusers: await read('sysusers'),
    defaults: await read('default'),
    lintianOverrides: await read('lintian-overrides'),
    scripts: {
      postinst: await read('postinst'),
      prerm: await read('prerm'),
      postrm: await read('postrm'),
    },
  };
}

/** @throws Error when a word of the template is unknown */
function filledIn(text: string, words: Readonly<Record<string, string>>): string {
  return text.replace(/@([a-z]+)@/g, (_, word: string) => {
    const value = words[word];
    if (value === undefined) throw new Error(`a template names @${word}@, which nothing is`);
    return value;
  });
}
