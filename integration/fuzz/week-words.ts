/** What the hours of a week are said with, where an administrator types a schedule or a limit. */
export const weekWords = ['mon-fri', 'sat', 'else', 'closed', 'high-only', '08-18', '22-06'];
