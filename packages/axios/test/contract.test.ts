import axios from 'axios';
import { describeContract } from './contract-of.js';

describeContract(axios, 'http');
describeContract(axios, 'fetch');
