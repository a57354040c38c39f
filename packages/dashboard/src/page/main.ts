/** The page's entry. */
import { h, render } from 'preact';
import { App } from './app.js';
import { follow } from './connection.js';
import { Store } from './store.js';

const store = new Store();
const place = document.getElementById('app') as HTMLElement;
place.replaceChildren();
render(h(App, { store }), place);
follow(store);
