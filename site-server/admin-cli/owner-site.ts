import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { Session } from './session.ts';

/**
 * Says something at the connected site or, where that has no say, at the site of what it is about: so the
 * same command works anywhere (ROLE-4), and that site looks at who says it.
 */
export async function whereItCounts<T>(
  session: Session,
  say: (session: Session) => Promise<T>,
): Promise<T> {
  try {
    return await say(session);
  } catch (error) {
    if (!isErrorWithCode(error, 'SITE_HAS_NO_SAY')) throw error;
    const { details } = error;
    return say(await session.atSite('siteCode' in details ? details.siteCode : undefined));
  }
}
