// Who signs in.

import { open } from './browser.js';
import { setupCode } from './gateway.js';

export const ADMIN = { user: 'anna', password: 'correct horse battery' };

/** The first account of a gateway, made by the page; resolves to a page that is signed in. */
export async function signedIn(t, gateway, options = {}) {
  const page = await open(t, gateway.base, options);
  await page.goto('/');
  const password = page.getByLabel('Password', { exact: true });
  await password.waitFor();
  await page.getByLabel('User name').fill(ADMIN.user);
  await password.fill(ADMIN.password);
  const code = page.getByLabel('Setup code');
  if (await code.isVisible()) await code.fill(await setupCode(gateway));
  await page.getByRole('button', { name: 'Create account' }).click();
  await page.locator('.chips a').first().waitFor();
  return page;
}
