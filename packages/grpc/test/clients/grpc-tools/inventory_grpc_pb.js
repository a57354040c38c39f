// biome-ignore-all lint: generated
// biome-ignore-all format: generated
// biome-ignore-all assist: generated
// GENERATED CODE -- DO NOT EDIT!

'use strict';
var grpc = require('@grpc/grpc-js');
var inventory_pb = require('./inventory_pb.js');

function serialize_shop_v1_Delivery(arg) {
  if (!(arg instanceof inventory_pb.Delivery)) {
    throw new Error('Expected argument of type shop.v1.Delivery');
  }
  return Buffer.from(arg.serializeBinary());
}

function deserialize_shop_v1_Delivery(buffer_arg) {
  return inventory_pb.Delivery.deserializeBinary(new Uint8Array(buffer_arg));
}

function serialize_shop_v1_ListRequest(arg) {
  if (!(arg instanceof inventory_pb.ListRequest)) {
    throw new Error('Expected argument of type shop.v1.ListRequest');
  }
  return Buffer.from(arg.serializeBinary());
}

function deserialize_shop_v1_ListRequest(buffer_arg) {
  return inventory_pb.ListRequest.deserializeBinary(new Uint8Array(buffer_arg));
}

function serialize_shop_v1_Receipt(arg) {
  if (!(arg instanceof inventory_pb.Receipt)) {
    throw new Error('Expected argument of type shop.v1.Receipt');
  }
  return Buffer.from(arg.serializeBinary());
}

function deserialize_shop_v1_Receipt(buffer_arg) {
  return inventory_pb.Receipt.deserializeBinary(new Uint8Array(buffer_arg));
}

function serialize_shop_v1_Reservation(arg) {
  if (!(arg instanceof inventory_pb.Reservation)) {
    throw new Error('Expected argument of type shop.v1.Reservation');
  }
  return Buffer.from(arg.serializeBinary());
}

function deserialize_shop_v1_Reservation(buffer_arg) {
  return inventory_pb.Reservation.deserializeBinary(new Uint8Array(buffer_arg));
}

function serialize_shop_v1_ReserveRequest(arg) {
  if (!(arg instanceof inventory_pb.ReserveRequest)) {
    throw new Error('Expected argument of type shop.v1.ReserveRequest');
  }
  return Buffer.from(arg.serializeBinary());
}

function deserialize_shop_v1_ReserveRequest(buffer_arg) {
  return inventory_pb.ReserveRequest.deserializeBinary(new Uint8Array(buffer_arg));
}

function serialize_shop_v1_Stock(arg) {
  if (!(arg instanceof inventory_pb.Stock)) {
    throw new Error('Expected argument of type shop.v1.Stock');
  }
  return Buffer.from(arg.serializeBinary());
}

function deserialize_shop_v1_Stock(buffer_arg) {
  return inventory_pb.Stock.deserializeBinary(new Uint8Array(buffer_arg));
}

function serialize_shop_v1_StockRequest(arg) {
  if (!(arg instanceof inventory_pb.StockRequest)) {
    throw new Error('Expected argument of type shop.v1.StockRequest');
  }
  return Buffer.from(arg.serializeBinary());
}

function deserialize_shop_v1_StockRequest(buffer_arg) {
  return inventory_pb.StockRequest.deserializeBinary(new Uint8Array(buffer_arg));
}

var InventoryService = exports.InventoryService = {
  getStock: {
    path: '/shop.v1.Inventory/GetStock',
    requestStream: false,
    responseStream: false,
    requestType: inventory_pb.StockRequest,
    responseType: inventory_pb.Stock,
    requestSerialize: serialize_shop_v1_StockRequest,
    requestDeserialize: deserialize_shop_v1_StockRequest,
    responseSerialize: serialize_shop_v1_Stock,
    responseDeserialize: deserialize_shop_v1_Stock,
  },
  reserve: {
    path: '/shop.v1.Inventory/Reserve',
    requestStream: false,
    responseStream: false,
    requestType: inventory_pb.ReserveRequest,
    responseType: inventory_pb.Reservation,
    requestSerialize: serialize_shop_v1_ReserveRequest,
    requestDeserialize: deserialize_shop_v1_ReserveRequest,
    responseSerialize: serialize_shop_v1_Reservation,
    responseDeserialize: deserialize_shop_v1_Reservation,
  },
  listStock: {
    path: '/shop.v1.Inventory/ListStock',
    requestStream: false,
    responseStream: true,
    requestType: inventory_pb.ListRequest,
    responseType: inventory_pb.Stock,
    requestSerialize: serialize_shop_v1_ListRequest,
    requestDeserialize: deserialize_shop_v1_ListRequest,
    responseSerialize: serialize_shop_v1_Stock,
    responseDeserialize: deserialize_shop_v1_Stock,
  },
  restock: {
    path: '/shop.v1.Inventory/Restock',
    requestStream: true,
    responseStream: false,
    requestType: inventory_pb.Delivery,
    responseType: inventory_pb.Receipt,
    requestSerialize: serialize_shop_v1_Delivery,
    requestDeserialize: deserialize_shop_v1_Delivery,
    responseSerialize: serialize_shop_v1_Receipt,
    responseDeserialize: deserialize_shop_v1_Receipt,
  },
  track: {
    path: '/shop.v1.Inventory/Track',
    requestStream: true,
    responseStream: true,
    requestType: inventory_pb.StockRequest,
    responseType: inventory_pb.Stock,
    requestSerialize: serialize_shop_v1_StockRequest,
    requestDeserialize: deserialize_shop_v1_StockRequest,
    responseSerialize: serialize_shop_v1_Stock,
    responseDeserialize: deserialize_shop_v1_Stock,
  },
};

exports.InventoryClient = grpc.makeGenericClientConstructor(InventoryService, 'Inventory');
