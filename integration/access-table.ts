import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** A row of docs/access.md: a method, and what stands in each column. */
export interface AccessRow {
  /** Such as /waybill.v1.Admin/GetSite. */
  readonly path: string;
  /** Such as waybill.v1.Admin. */
  readonly service: string;
  readonly cells: ReadonlyMap<string, string>;
}

const page = fileURLToPath(new URL('../../docs/access.md', import.meta.url));

/** The tables of docs/access.md; enrollment, where nobody shows a certificate, is in none of them. */
export async function readAccessTable(): Promise<AccessRow[]> {
  const rows: AccessRow[] = [];
  let service = '';
  let columns: string[] = [];
  for (const line of (await readFile(page, 'utf8')).split('\n')) {
    service = /^## (\w+)$/.exec(line)?.[1] ?? service;
    if (line.startsWith('## Of gRPC')) service = '';
    const [method = '', ...cells] = line
      .split(' | ')
      .map((cell) => cell.replaceAll('|', '').trim());
    if (method === 'method') columns = cells;
    else if (columns.length > 1 && cells.length === columns.length) {
      const path = service === '' ? `/${method}` : `/waybill.v1.${service}/${method}`;
      const own = columns.map((column, index) => [column, cells[index] ?? ''] as const);
      rows.push({ path, service: path.split('/')[1] ?? '', cells: new Map(own) });
    }
  }
  return rows;
}
