import { type Database, lastCharacter, type RowRange } from './database.ts';

export interface RowScan {
  readonly rowCount: number;
  /** Keys in LevelDB whose text is not JSON. */
  readonly garbageKeys: readonly string[];
}

const allRows: RowRange = {
  lower: { key: '', isIncluded: true },
  upper: { key: lastCharacter, isIncluded: false },
  reverse: false,
};

/** Reads every row once; so what LevelDB cannot read is found at open, not in the middle of work. */
export async function scanRows(database: Database): Promise<RowScan> {
  let rowCount = 0;
  const garbageKeys: string[] = [];
  for await (const rows of database.pages(allRows)) {
    for (const [key, text] of rows) {
      if (isJson(text)) rowCount += 1;
      else garbageKeys.push(key);
    }
  }
  return { rowCount, garbageKeys };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
