// Who signs in.

import { open } from './browser.js';

export const ADMIN = { user: 'anna', password: 'correct horse battery' };

/** The first account of a gateway, made by the page; resolves to a page that is signed in. */
export async function signedIn(t, base, options = {}) {
  const page = await open(t, base, options);
  await page.goto('/');
  const password = page.getByLabel('Password', { exact: true });
  await password.waitFor();
  await page.getByLabel('User name').fill(ADMIN.user);
  await password.fill(ADMIN.password);
  await page.getByRole('button', { name: /Create account|Sign in/ }).click();
  await page.locator('.chips a').first().waitFor();
  return page;
}
