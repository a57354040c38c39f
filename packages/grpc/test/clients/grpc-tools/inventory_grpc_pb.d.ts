// biome-ignore-all lint: generated
// biome-ignore-all format: generated
// biome-ignore-all assist: generated
// package: shop.v1
// file: inventory.proto

/* tslint:disable */
/* eslint-disable */

import * as grpc from "@grpc/grpc-js";
import * as inventory_pb from "./inventory_pb";

interface IInventoryService extends grpc.ServiceDefinition<grpc.UntypedServiceImplementation> {
    getStock: IInventoryService_IGetStock;
    reserve: IInventoryService_IReserve;
    listStock: IInventoryService_IListStock;
    restock: IInventoryService_IRestock;
    track: IInventoryService_ITrack;
}

interface IInventoryService_IGetStock extends grpc.MethodDefinition<inventory_pb.StockRequest, inventory_pb.Stock> {
    path: "/shop.v1.Inventory/GetStock";
    requestStream: false;
    responseStream: false;
    requestSerialize: grpc.serialize<inventory_pb.StockRequest>;
    requestDeserialize: grpc.deserialize<inventory_pb.StockRequest>;
    responseSerialize: grpc.serialize<inventory_pb.Stock>;
    responseDeserialize: grpc.deserialize<inventory_pb.Stock>;
}
interface IInventoryService_IReserve extends grpc.MethodDefinition<inventory_pb.ReserveRequest, inventory_pb.Reservation> {
    path: "/shop.v1.Inventory/Reserve";
    requestStream: false;
    responseStream: false;
    requestSerialize: grpc.serialize<inventory_pb.ReserveRequest>;
    requestDeserialize: grpc.deserialize<inventory_pb.ReserveRequest>;
    responseSerialize: grpc.serialize<inventory_pb.Reservation>;
    responseDeserialize: grpc.deserialize<inventory_pb.Reservation>;
}
interface IInventoryService_IListStock extends grpc.MethodDefinition<inventory_pb.ListRequest, inventory_pb.Stock> {
    path: "/shop.v1.Inventory/ListStock";
    requestStream: false;
    responseStream: true;
    requestSerialize: grpc.serialize<inventory_pb.ListRequest>;
    requestDeserialize: grpc.deserialize<inventory_pb.ListRequest>;
    responseSerialize: grpc.serialize<inventory_pb.Stock>;
    responseDeserialize: grpc.deserialize<inventory_pb.Stock>;
}
interface IInventoryService_IRestock extends grpc.MethodDefinition<inventory_pb.Delivery, inventory_pb.Receipt> {
    path: "/shop.v1.Inventory/Restock";
    requestStream: true;
    responseStream: false;
    requestSerialize: grpc.serialize<inventory_pb.Delivery>;
    requestDeserialize: grpc.deserialize<inventory_pb.Delivery>;
    responseSerialize: grpc.serialize<inventory_pb.Receipt>;
    responseDeserialize: grpc.deserialize<inventory_pb.Receipt>;
}
interface IInventoryService_ITrack extends grpc.MethodDefinition<inventory_pb.StockRequest, inventory_pb.Stock> {
    path: "/shop.v1.Inventory/Track";
    requestStream: true;
    responseStream: true;
    requestSerialize: grpc.serialize<inventory_pb.StockRequest>;
    requestDeserialize: grpc.deserialize<inventory_pb.StockRequest>;
    responseSerialize: grpc.serialize<inventory_pb.Stock>;
    responseDeserialize: grpc.deserialize<inventory_pb.Stock>;
}

export const InventoryService: IInventoryService;

export interface IInventoryServer extends grpc.UntypedServiceImplementation {
    getStock: grpc.handleUnaryCall<inventory_pb.StockRequest, inventory_pb.Stock>;
    reserve: grpc.handleUnaryCall<inventory_pb.ReserveRequest, inventory_pb.Reservation>;
    listStock: grpc.handleServerStreamingCall<inventory_pb.ListRequest, inventory_pb.Stock>;
    restock: grpc.handleClientStreamingCall<inventory_pb.Delivery, inventory_pb.Receipt>;
    track: grpc.handleBidiStreamingCall<inventory_pb.StockRequest, inventory_pb.Stock>;
}

export interface IInventoryClient {
    getStock(request: inventory_pb.StockRequest, callback: (error: grpc.ServiceError | null, response: inventory_pb.Stock) => void): grpc.ClientUnaryCall;
    getStock(request: inventory_pb.StockRequest, metadata: grpc.Metadata, callback: (error: grpc.ServiceError | null, response: inventory_pb.Stock) => void): grpc.ClientUnaryCall;
    getStock(request: inventory_pb.StockRequest, metadata: grpc.Metadata, options: Partial<grpc.CallOptions>, callback: (error: grpc.ServiceError | null, response: inventory_pb.Stock) => void): grpc.ClientUnaryCall;
    reserve(request: inventory_pb.ReserveRequest, callback: (error: grpc.ServiceError | null, response: inventory_pb.Reservation) => void): grpc.ClientUnaryCall;
    reserve(request: inventory_pb.ReserveRequest, metadata: grpc.Metadata, callback: (error: grpc.ServiceError | null, response: inventory_pb.Reservation) => void): grpc.ClientUnaryCall;
    reserve(request: inventory_pb.ReserveRequest, metadata: grpc.Metadata, options: Partial<grpc.CallOptions>, callback: (error: grpc.ServiceError | null, response: inventory_pb.Reservation) => void): grpc.ClientUnaryCall;
    listStock(request: inventory_pb.ListRequest, options?: Partial<grpc.CallOptions>): grpc.ClientReadableStream<inventory_pb.Stock>;
    listStock(request: inventory_pb.ListRequest, metadata?: grpc.Metadata, options?: Partial<grpc.CallOptions>): grpc.ClientReadableStream<inventory_pb.Stock>;
    restock(callback: (error: grpc.ServiceError | null, response: inventory_pb.Receipt) => void): grpc.ClientWritableStream<inventory_pb.Delivery>;
    restock(metadata: grpc.Metadata, callback: (error: grpc.ServiceError | null, response: inventory_pb.Receipt) => void): grpc.ClientWritableStream<inventory_pb.Delivery>;
    restock(options: Partial<grpc.CallOptions>, callback: (error: grpc.ServiceError | null, response: inventory_pb.Receipt) => void): grpc.ClientWritableStream<inventory_pb.Delivery>;
    restock(metadata: grpc.Metadata, options: Partial<grpc.CallOptions>, callback: (error: grpc.ServiceError | null, response: inventory_pb.Receipt) => void): grpc.ClientWritableStream<inventory_pb.Delivery>;
    track(): grpc.ClientDuplexStream<inventory_pb.StockRequest, inventory_pb.Stock>;
    track(options: Partial<grpc.CallOptions>): grpc.ClientDuplexStream<inventory_pb.StockRequest, inventory_pb.Stock>;
    track(metadata: grpc.Metadata, options?: Partial<grpc.CallOptions>): grpc.ClientDuplexStream<inventory_pb.StockRequest, inventory_pb.Stock>;
}

export class InventoryClient extends grpc.Client implements IInventoryClient {
    constructor(address: string, credentials: grpc.ChannelCredentials, options?: Partial<grpc.ClientOptions>);
    public getStock(request: inventory_pb.StockRequest, callback: (error: grpc.ServiceError | null, response: inventory_pb.Stock) => void): grpc.ClientUnaryCall;
    public getStock(request: inventory_pb.StockRequest, metadata: grpc.Metadata, callback: (error: grpc.ServiceError | null, response: inventory_pb.Stock) => void): grpc.ClientUnaryCall;
    public getStock(request: inventory_pb.StockRequest, metadata: grpc.Metadata, options: Partial<grpc.CallOptions>, callback: (error: grpc.ServiceError | null, response: inventory_pb.Stock) => void): grpc.ClientUnaryCall;
    public reserve(request: inventory_pb.ReserveRequest, callback: (error: grpc.ServiceError | null, response: inventory_pb.Reservation) => void): grpc.ClientUnaryCall;
    public reserve(request: inventory_pb.ReserveRequest, metadata: grpc.Metadata, callback: (error: grpc.ServiceError | null, response: inventory_pb.Reservation) => void): grpc.ClientUnaryCall;
    public reserve(request: inventory_pb.ReserveRequest, metadata: grpc.Metadata, options: Partial<grpc.CallOptions>, callback: (error: grpc.ServiceError | null, response: inventory_pb.Reservation) => void): grpc.ClientUnaryCall;
    public listStock(request: inventory_pb.ListRequest, options?: Partial<grpc.CallOptions>): grpc.ClientReadableStream<inventory_pb.Stock>;
    public listStock(request: inventory_pb.ListRequest, metadata?: grpc.Metadata, options?: Partial<grpc.CallOptions>): grpc.ClientReadableStream<inventory_pb.Stock>;
    public restock(callback: (error: grpc.ServiceError | null, response: inventory_pb.Receipt) => void): grpc.ClientWritableStream<inventory_pb.Delivery>;
    public restock(metadata: grpc.Metadata, callback: (error: grpc.ServiceError | null, response: inventory_pb.Receipt) => void): grpc.ClientWritableStream<inventory_pb.Delivery>;
    public restock(options: Partial<grpc.CallOptions>, callback: (error: grpc.ServiceError | null, response: inventory_pb.Receipt) => void): grpc.ClientWritableStream<inventory_pb.Delivery>;
    public restock(metadata: grpc.Metadata, options: Partial<grpc.CallOptions>, callback: (error: grpc.ServiceError | null, response: inventory_pb.Receipt) => void): grpc.ClientWritableStream<inventory_pb.Delivery>;
    public track(options?: Partial<grpc.CallOptions>): grpc.ClientDuplexStream<inventory_pb.StockRequest, inventory_pb.Stock>;
    public track(metadata?: grpc.Metadata, options?: Partial<grpc.CallOptions>): grpc.ClientDuplexStream<inventory_pb.StockRequest, inventory_pb.Stock>;
}
