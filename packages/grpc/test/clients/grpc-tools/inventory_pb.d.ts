// biome-ignore-all lint: generated
// biome-ignore-all format: generated
// biome-ignore-all assist: generated
// package: shop.v1
// file: inventory.proto

/* tslint:disable */
/* eslint-disable */

import * as jspb from "google-protobuf";

export class StockRequest extends jspb.Message { 
    getSku(): string;
    setSku(value: string): StockRequest;

    serializeBinary(): Uint8Array;
    toObject(includeInstance?: boolean): StockRequest.AsObject;
    static toObject(includeInstance: boolean, msg: StockRequest): StockRequest.AsObject;
    static extensions: {[key: number]: jspb.ExtensionFieldInfo<jspb.Message>};
    static extensionsBinary: {[key: number]: jspb.ExtensionFieldBinaryInfo<jspb.Message>};
    static serializeBinaryToWriter(message: StockRequest, writer: jspb.BinaryWriter): void;
    static deserializeBinary(bytes: Uint8Array): StockRequest;
    static deserializeBinaryFromReader(message: StockRequest, reader: jspb.BinaryReader): StockRequest;
}

export namespace StockRequest {
    export type AsObject = {
        sku: string,
    }
}

export class ListRequest extends jspb.Message { 
    getCount(): number;
    setCount(value: number): ListRequest;
    getPadding(): number;
    setPadding(value: number): ListRequest;

    serializeBinary(): Uint8Array;
    toObject(includeInstance?: boolean): ListRequest.AsObject;
    static toObject(includeInstance: boolean, msg: ListRequest): ListRequest.AsObject;
    static extensions: {[key: number]: jspb.ExtensionFieldInfo<jspb.Message>};
    static extensionsBinary: {[key: number]: jspb.ExtensionFieldBinaryInfo<jspb.Message>};
    static serializeBinaryToWriter(message: ListRequest, writer: jspb.BinaryWriter): void;
    static deserializeBinary(bytes: Uint8Array): ListRequest;
    static deserializeBinaryFromReader(message: ListRequest, reader: jspb.BinaryReader): ListRequest;
}

export namespace ListRequest {
    export type AsObject = {
        count: number,
        padding: number,
    }
}

export class Stock extends jspb.Message { 
    getSku(): string;
    setSku(value: string): Stock;
    getAvailable(): number;
    setAvailable(value: number): Stock;
    getPadding(): Uint8Array | string;
    getPadding_asU8(): Uint8Array;
    getPadding_asB64(): string;
    setPadding(value: Uint8Array | string): Stock;

    serializeBinary(): Uint8Array;
    toObject(includeInstance?: boolean): Stock.AsObject;
    static toObject(includeInstance: boolean, msg: Stock): Stock.AsObject;
    static extensions: {[key: number]: jspb.ExtensionFieldInfo<jspb.Message>};
    static extensionsBinary: {[key: number]: jspb.ExtensionFieldBinaryInfo<jspb.Message>};
    static serializeBinaryToWriter(message: Stock, writer: jspb.BinaryWriter): void;
    static deserializeBinary(bytes: Uint8Array): Stock;
    static deserializeBinaryFromReader(message: Stock, reader: jspb.BinaryReader): Stock;
}

export namespace Stock {
    export type AsObject = {
        sku: string,
        available: number,
        padding: Uint8Array | string,
    }
}

export class ReserveRequest extends jspb.Message { 
    getSku(): string;
    setSku(value: string): ReserveRequest;
    getQuantity(): number;
    setQuantity(value: number): ReserveRequest;

    serializeBinary(): Uint8Array;
    toObject(includeInstance?: boolean): ReserveRequest.AsObject;
    static toObject(includeInstance: boolean, msg: ReserveRequest): ReserveRequest.AsObject;
    static extensions: {[key: number]: jspb.ExtensionFieldInfo<jspb.Message>};
    static extensionsBinary: {[key: number]: jspb.ExtensionFieldBinaryInfo<jspb.Message>};
    static serializeBinaryToWriter(message: ReserveRequest, writer: jspb.BinaryWriter): void;
    static deserializeBinary(bytes: Uint8Array): ReserveRequest;
    static deserializeBinaryFromReader(message: ReserveRequest, reader: jspb.BinaryReader): ReserveRequest;
}

export namespace ReserveRequest {
    export type AsObject = {
        sku: string,
        quantity: number,
    }
}

export class Reservation extends jspb.Message { 
    getId(): string;
    setId(value: string): Reservation;

    serializeBinary(): Uint8Array;
    toObject(includeInstance?: boolean): Reservation.AsObject;
    static toObject(includeInstance: boolean, msg: Reservation): Reservation.AsObject;
    static extensions: {[key: number]: jspb.ExtensionFieldInfo<jspb.Message>};
    static extensionsBinary: {[key: number]: jspb.ExtensionFieldBinaryInfo<jspb.Message>};
    static serializeBinaryToWriter(message: Reservation, writer: jspb.BinaryWriter): void;
    static deserializeBinary(bytes: Uint8Array): Reservation;
    static deserializeBinaryFromReader(message: Reservation, reader: jspb.BinaryReader): Reservation;
}

export namespace Reservation {
    export type AsObject = {
        id: string,
    }
}

export class Delivery extends jspb.Message { 
    getSku(): string;
    setSku(value: string): Delivery;
    getQuantity(): number;
    setQuantity(value: number): Delivery;

    serializeBinary(): Uint8Array;
    toObject(includeInstance?: boolean): Delivery.AsObject;
    static toObject(includeInstance: boolean, msg: Delivery): Delivery.AsObject;
    static extensions: {[key: number]: jspb.ExtensionFieldInfo<jspb.Message>};
    static extensionsBinary: {[key: number]: jspb.ExtensionFieldBinaryInfo<jspb.Message>};
    static serializeBinaryToWriter(message: Delivery, writer: jspb.BinaryWriter): void;
    static deserializeBinary(bytes: Uint8Array): Delivery;
    static deserializeBinaryFromReader(message: Delivery, reader: jspb.BinaryReader): Delivery;
}

export namespace Delivery {
    export type AsObject = {
        sku: string,
        quantity: number,
    }
}

export class Receipt extends jspb.Message { 
    getDeliveries(): number;
    setDeliveries(value: number): Receipt;

    serializeBinary(): Uint8Array;
    toObject(includeInstance?: boolean): Receipt.AsObject;
    static toObject(includeInstance: boolean, msg: Receipt): Receipt.AsObject;
    static extensions: {[key: number]: jspb.ExtensionFieldInfo<jspb.Message>};
    static extensionsBinary: {[key: number]: jspb.ExtensionFieldBinaryInfo<jspb.Message>};
    static serializeBinaryToWriter(message: Receipt, writer: jspb.BinaryWriter): void;
    static deserializeBinary(bytes: Uint8Array): Receipt;
    static deserializeBinaryFromReader(message: Receipt, reader: jspb.BinaryReader): Receipt;
}

export namespace Receipt {
    export type AsObject = {
        deliveries: number,
    }
}
