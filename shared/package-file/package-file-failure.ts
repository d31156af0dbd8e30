import { WaybillError } from '../domain/errors.ts';

/** What is said of a package file that is damaged, or whose maker is wrong or lies. */
export function invalidPackageFile(packageId: string, reason: string): WaybillError {
  return new WaybillError({ code: 'PACKAGE_FILE_INVALID', packageId, reason });
}
